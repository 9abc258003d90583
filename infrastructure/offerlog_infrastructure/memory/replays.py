"""The log in memory as it stood at an earlier position."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.positions import LogPosition, only_position
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.replays import ReplayedEvent, ReplayedProjections
from offerlog_application.projections.page import Page, streams_with_repeats
from offerlog_domain.event_fields import SealedEvent
from offerlog_domain.events import LIFECYCLE_EVENTS, LifecycleEvent, is_sealed_lifecycle_event
from offerlog_domain.lifecycle import State
from offerlog_infrastructure.memory.counts import MemoryCounts
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.reads import PROJECTIONS


class MemoryReplays:
    """The application's `Replays`; thread-safe."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def settle(self, position: LogPosition | None) -> int:
        """Return a position, at most that of the last event."""
        last = self._log.last()
        return last if position is None else max(min(only_position(position), last), 0)

    def position_at(self, moment: datetime) -> int:
        """Return the position of the last event that was recorded by a time; 0 if there is none."""
        with self._log.lock:
            events = tuple(self._log.events_in_order)
        return max((place for place, one in events if one.event.recorded_at <= moment), default=0)

    def last_event(self, position: int) -> tuple[int, datetime] | None:
        """Return position and time of the last event up to a position; None without one."""
        with self._log.lock:
            events = tuple(self._log.events_in_order[:position])
        return (events[-1][0], events[-1][1].event.recorded_at) if events else None

    def check_position(self, position: LogPosition) -> None:
        """Do nothing: there is one log."""
        del position

    @contextmanager
    def replay(
        self, position: LogPosition, on_progress: Callable[[RebuildProgress], None]
    ) -> Iterator[ReplayedProjections]:
        """Count the events up to a position anew."""
        last = only_position(position)
        with self._log.lock:
            events = tuple(self._log.events_in_order[:last])
            counts = MemoryCounts(self._log.lock)
        lifecycles: dict[UUID, list[SealedEvent[LifecycleEvent]]] = {}
        for _, sealed in events:
            if is_sealed_lifecycle_event(sealed):
                lifecycles.setdefault(sealed.originator_id, []).append(sealed)
        counts.apply(Page(events, {one: lifecycles[one] for one in streams_with_repeats(events)}))
        on_progress(RebuildProgress("loading", last, last))
        digest = str(sum(place * place for place, _ in events))
        proofs = [Proof(name, position, len(events), digest, 0, 0) for name in PROJECTIONS]
        yield ReplayedProjections(position, counts, proofs)

    def events_of(
        self, organization: str, action_map_id: UUID, state: State, position: LogPosition
    ) -> Generator[ReplayedEvent]:
        """Stream the events of a map that reached a state, up to a position."""
        with self._log.lock:
            events = tuple(self._log.events_in_order[: only_position(position)])
        for place, sealed in events:
            event = sealed.event
            if isinstance(event, LIFECYCLE_EVENTS[state]) and (event.organization, event.action_map_id) == (
                organization,
                action_map_id,
            ):
                yield ReplayedEvent(place, sealed)
