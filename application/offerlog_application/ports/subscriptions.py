"""Named subscriptions to the feed: the port to their cursors, which the store keeps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from offerlog_application.ports.organizations import NAME_PATTERN, NAME_RULE
from offerlog_application.ports.positions import LogPosition
from offerlog_domain.errors import ArgumentError, OfferlogError

MOST_SUBSCRIPTIONS: Final = 100
"""The most subscriptions of an organization."""

_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A cursor with a name: how far a reader has processed the feed.

    Attributes:
        organization: The tenant.
        name: Its name in the organization.
        position: Everything up to this position of the log has been acknowledged.
        created_at: The time at which it was made, by the service's clock.
        moved_at: The time of the last acknowledgement; None if there was none.
        lag_events: Number of events in the log behind the position, of all organizations. Above 10,000 it is
            the number of positions instead, which may be larger.
        lag_seconds: Seconds since the oldest of those events was recorded; 0 if there are none, None if this
            build cannot read that event.
    """

    organization: str
    name: str
    position: LogPosition
    created_at: datetime
    moved_at: datetime | None
    lag_events: int
    lag_seconds: float | None


class UnknownSubscriptionError(OfferlogError):
    """The organization does not have a subscription of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no subscription {name!r}: see `offerlog events subscriptions`")


class SubscriptionLimitError(OfferlogError):
    """The organization has as many subscriptions as it may have."""

    def __init__(self) -> None:
        super().__init__(
            f"an organization has at most {MOST_SUBSCRIPTIONS} subscriptions: delete one that nobody reads"
        )


def is_subscription_name(name: str) -> bool:
    """Return True if the text can name a subscription."""
    return _NAME.fullmatch(name) is not None


def check_subscription_name(name: str) -> str:
    """Return the text if it can name a subscription.

    Raises:
        ArgumentError: It cannot.
    """
    if not is_subscription_name(name):
        raise ArgumentError("name", f"{name!r} cannot name a subscription: {NAME_RULE}")
    return name


class SubscriptionStore(Protocol):
    """The store of subscriptions; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def put(self, organization: str, name: str, position: LogPosition, now: datetime) -> None:
        """Make a subscription at a position, or move it there; a lower position than its own changes nothing.

        Raises:
            PositionAheadError: No event has had that position yet.
            SubscriptionLimitError: It is a new one, and the organization has too many.
        """

    def all(self, organization: str | None = None) -> Sequence[Subscription]:
        """List the subscriptions of one organization, or of all, sorted by organization and name."""

    def find(self, organization: str, name: str) -> Subscription | None:
        """Return a subscription; None if there is none of that name."""

    def delete(self, organization: str, name: str) -> bool:
        """Delete a subscription; returns False if there is none of that name."""

    def delete_all(self, organization: str) -> int:
        """Delete the subscriptions of an organization; returns their number."""
