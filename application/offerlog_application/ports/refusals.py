"""Ports to the refusal log and its counts."""

from collections.abc import Generator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from offerlog_application.ports.read_models import KeptSignal, Order, RefusalCounts
from offerlog_domain.outcomes import Reason


class RefusalLog(Protocol):
    """The refused signals of all organizations; thread-safe."""

    def refusals(
        self,
        organization: str,
        *,
        reason: Reason | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = Order.OLDEST,
        behind: tuple[datetime, int] | None = None,
        visitor_digest: UUID | None = None,
        action_map_id: UUID | None = None,
    ) -> Generator[KeptSignal]:
        """Stream the refusals of [since, until), after the line with the time and number of `behind`.

        With `visitor_digest` or `action_map_id`, only those that are known to be of this visitor or map.

        Raises:
            ReadTimeoutError: A page takes longer than its time limit.
            StoreUnavailableError: The store cannot be reached.
        """

    def prune(self, before: datetime) -> int:
        """Delete some of the refusals recorded before an instant, and return their number; 0 if none is left.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def prune_unattributed(self, before: datetime) -> int:
        """Delete some of the refusals without a visitor that were recorded before an instant.

        Returns:
            Their number; 0 if none is left.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """


class RefusalCounter(Protocol):
    """Counts of refusals by reason and quarter-hour. Pruned refusals count too. Thread-safe."""

    def counts(self, organization: str, since: datetime | None, until: datetime | None) -> RefusalCounts:
        """Count the refusals by reason in the quarter-hours that [since, until) touches.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def fold_step(self) -> bool:
        """Add some of the appended tallies to the counts. Return True if there were enough for a full step.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
