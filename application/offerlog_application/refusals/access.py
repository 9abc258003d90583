"""The refusal log of an open service: its lists, its counts and its retention."""

from collections.abc import Generator
from datetime import datetime

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.read_models import KeptSignal, Order, RefusalCounts
from offerlog_application.ports.refusals import RefusalCounter, RefusalLog
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.refusals.upkeep import RefusalUpkeep
from offerlog_domain.outcomes import Reason


class RefusalAccess(OrganizationScope):
    """The part of `Offerlog` that works on the refusal log."""

    def __init__(
        self, refusals: RefusalLog, counter: RefusalCounter, policy: RefusalPolicy, clock: Clock
    ) -> None:
        self._refusal_log = refusals
        self._refusal_counter = counter
        self._refusal_upkeep = RefusalUpkeep(self._refusal_log, self._refusal_counter, policy, clock)

    def refusals(
        self,
        *,
        reason: Reason | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = Order.OLDEST,
        organization: str | None = None,
        behind: tuple[datetime, int] | None = None,
    ) -> Generator[KeptSignal]:
        """Stream the refusals of [since, until), after the line of that time and number if given."""
        return self._refusal_log.refusals(
            self._of(organization), reason=reason, since=since, until=until, order=order, behind=behind
        )

    def prune_refusals(self) -> int:
        """Delete the refusals that are older than the policy keeps them, in all organizations.

        A process that keeps deadlines does so by itself. Also adds up the tallies behind `refusal_counts`.

        Returns:
            The number of refusals deleted.

        Raises:
            StoreUnavailableError: The store cannot be reached. What was deleted stays deleted.
        """
        return self._refusal_upkeep.run()

    def refusal_counts(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        organization: str | None = None,
    ) -> RefusalCounts:
        """Count the refusals by reason, exactly, in the whole quarter-hours that [since, until) touches.

        Args:
            since: With an offset; None counts from the first refusal on.
            until: With an offset; None counts up to now.
            organization: The tenant; None for the organization of the service.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return self._refusal_counter.counts(self._of(organization), since, until)
