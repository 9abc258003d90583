"""The refusal log and its counts in memory."""

from collections import Counter
from collections.abc import Generator
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.read_models import KeptSignal, Order, RefusalCounts
from offerlog_application.projections.slots import at_slot, slot
from offerlog_domain.outcomes import Reason
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.memory.log import MemoryLog


class MemoryRefusals:
    """The application's `RefusalLog` and `RefusalCounter`; thread-safe."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

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
        """Stream the refusals of [since, until), after the line of that time and number if given."""
        newest_first = order is Order.NEWEST
        with self._log.lock:
            rows = sorted(
                ((one.recorded_at, number, one) for number, one in self._log.refusals.items()),
                key=lambda row: row[:2],
                reverse=newest_first,
            )
        for at, number, one in rows:
            if one.organization != organization or reason not in {None, one.reason}:
                continue
            if (since is not None and at < since) or (until is not None and at >= until):
                continue
            if visitor_digest not in {None, one.visitor_digest} or action_map_id not in {
                None,
                one.action_map_id,
            }:
                continue
            if behind is None or ((at, number) < behind if newest_first else (at, number) > behind):
                length = len(one.raw) if one.raw_length is None else one.raw_length
                map_id = None if one.action_map_id is None else format_uuid(one.action_map_id)
                yield KeptSignal(at, one.reason, one.field, one.cause, one.raw, length, number, map_id)

    def prune(self, before: datetime) -> int:
        """Delete the refusals recorded before an instant; returns how many."""
        with self._log.lock:
            old = [
                number
                for number, one in self._log.refusals.items()
                if one.recorded_at < before and one.visitor_digest not in self._log.holds
            ]
            for number in old:
                del self._log.refusals[number]
            return len(old)

    def prune_unattributed(self, before: datetime) -> int:
        """Delete the refusals without a visitor that were recorded before an instant; returns how many."""
        with self._log.lock:
            old = [
                number
                for number, one in self._log.refusals.items()
                if one.recorded_at < before and one.visitor_digest is None
            ]
            for number in old:
                del self._log.refusals[number]
            return len(old)

    def counts(self, organization: str, since: datetime | None, until: datetime | None) -> RefusalCounts:
        """Count the refusals by reason in the quarter-hours that [since, until) touches."""
        first = None if since is None else at_slot(slot(since))
        end = None if until is None else at_slot(slot(until))
        if until is not None and end is not None and end < until:
            end = at_slot(slot(until) + 1)
        with self._log.lock:
            counted = Counter(
                one.reason
                for one in self._log.refusal_tallies
                if one.organization == organization
                and (first is None or one.recorded_at >= first)
                and (end is None or one.recorded_at < end)
            )
        frequent = sorted(counted.items(), key=lambda one: (-one[1], one[0].value))
        return RefusalCounts(first, end, dict(frequent))

    def fold_step(self) -> bool:
        """Return that there is nothing to fold: every refusal is counted where it is kept."""
        return False
