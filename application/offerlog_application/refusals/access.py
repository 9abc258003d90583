"""The refusal log of an open service: its lists, its counts and its retention."""

from collections.abc import Callable, Generator
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.read_models import KeptSignal, Order, RefusalCounts
from offerlog_application.ports.refusals import RefusalCounter, RefusalLog
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.refusals.upkeep import RefusalUpkeep
from offerlog_domain.identity import VisitorKey, parse_action_map_id, parse_visitor_key
from offerlog_domain.outcomes import Reason
from offerlog_domain.uuids import parse_uuid


class RefusalAccess(OrganizationScope):
    """The part of `Offerlog` that works on the refusal log."""

    def __init__(
        self,
        refusals: RefusalLog,
        counter: RefusalCounter,
        policy: RefusalPolicy,
        clock: Clock,
        digest: Callable[[str, VisitorKey], UUID],
    ) -> None:
        self._digest = digest
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
        customer_id: str | None = None,
        customer_id_type: str = "cookie",
        action_map_id: str | None = None,
    ) -> Generator[KeptSignal]:
        """Stream the refusals of [since, until), after the line of that time and number if given.

        Args:
            reason: Only refusals with this reason.
            since: Only from this time on.
            until: Only before this time.
            order: Oldest or newest first.
            organization: The tenant; None for the organization of the service.
            behind: Continue after the refusal of this time and number, in that order.
            customer_id: Only refusals of this visitor. A text that does not name its visitor is not among
                them, nor is one that offerlog 0.1 has refused.
            customer_id_type: The type of that id.
            action_map_id: Only refusals about this action map. A malformed text is not among them.

        Raises:
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
        """
        name = self._of(organization)
        digest = map_id = None
        # The type is checked also where it is of no use.
        visitor = parse_visitor_key(
            customer_id="-" if customer_id is None else customer_id, customer_id_type=customer_id_type
        )
        if customer_id is not None:
            digest = self._digest(name, visitor)
        if action_map_id is not None:
            map_id = parse_uuid(parse_action_map_id(action_map_id))
        return self._refusal_log.refusals(
            name,
            reason=reason,
            since=since,
            until=until,
            order=order,
            behind=behind,
            visitor_digest=digest,
            action_map_id=map_id,
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
