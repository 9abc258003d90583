"""Named subscriptions: cursors that the service keeps for readers of the feed."""

from collections.abc import Sequence

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.positions import LogPosition, split_position
from offerlog_application.ports.subscriptions import (
    Subscription,
    SubscriptionStore,
    UnknownSubscriptionError,
    check_subscription_name,
    is_subscription_name,
)
from offerlog_domain.errors import ArgumentError


class Subscriptions(OrganizationScope):
    """The subscriptions of a service; thread-safe.

    A reader acknowledges a position once it has processed everything up to it. After a crash it goes on from
    there, so an event may come to it again; the position of the event says so.

    Attributes:
        organization: The organization of calls that name none.
    """

    def __init__(self, store: SubscriptionStore, clock: Clock, organization: str) -> None:
        self.organization = organization
        self._store = store
        self._clock = clock

    def acknowledge(
        self, name: str, position: LogPosition = 0, *, organization: str | None = None
    ) -> Subscription:
        """Move a subscription to a position, and return it. A subscription that is not there is made.

        It never moves back: a lower position than its own changes nothing. To read events again, delete it.

        Args:
            name: 1 to 64 letters, digits, dots, dashes or underscores; the first is a letter or digit.
            position: Position of an event or of a page; 0 for the beginning of the log.
            organization: The tenant; None for the organization of the service.

        Raises:
            ArgumentError: A wrong name, a negative position, or one that no event has had yet.
            SubscriptionLimitError: It is a new one, and the organization has too many.
        """
        if min(split_position(position)) < 0:
            raise ArgumentError("position", f"position: {position} is not a position: give 0 or more")
        scope = self._of(organization)
        self._store.put(scope, check_subscription_name(name), position, self._clock.now())
        return self.find(name, organization=organization)

    def find(self, name: str, *, organization: str | None = None) -> Subscription:
        """Return a subscription with its lag.

        Raises:
            UnknownSubscriptionError: There is none of that name.
        """
        found = self._store.find(self._of(organization), name) if is_subscription_name(name) else None
        if found is None:
            raise UnknownSubscriptionError(name)
        return found

    def all(self, *, organization: str | None = None) -> Sequence[Subscription]:
        """List the subscriptions of an organization with their lag, sorted by name."""
        return self._store.all(self._of(organization))

    def of_all_organizations(self) -> Sequence[Subscription]:
        """List the subscriptions of all organizations with their lag, sorted by organization and name."""
        return self._store.all()

    def delete(self, name: str, *, organization: str | None = None) -> None:
        """Delete a subscription.

        Raises:
            UnknownSubscriptionError: There is none of that name.
        """
        if not (is_subscription_name(name) and self._store.delete(self._of(organization), name)):
            raise UnknownSubscriptionError(name)
