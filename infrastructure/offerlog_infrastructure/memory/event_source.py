"""A log in memory, as its followers read it."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.event_source import (
    SETTLING_SECONDS,
    LogPage,
    LogRow,
    PositionAheadError,
    Tenure,
)
from offerlog_application.ports.positions import LogPosition, only_position
from offerlog_application.projections.page import Positioned
from offerlog_domain.service_events import ServiceEvent
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.visitors import MemoryVisitor, open_private


class MemoryEventSource:
    """The application's `EventSource`; thread-safe.

    A method has the errors of the method of `EventSource`, and those that it names.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._is_closed = False

    def read_page(
        self,
        after: LogPosition,
        limit: int,
        *,
        identify: str | None = None,
        settling_seconds: float = SETTLING_SECONDS,
        leaving_out: Collection[int] = (),
    ) -> LogPage:
        """Read the events after a position, at most `limit`; there is no writer to wait for."""
        del settling_seconds, leaving_out
        after = only_position(after)
        if self._is_closed:
            raise ClosedError
        with self._log.lock:
            last = self._log.last()
            if after > last:
                raise PositionAheadError(after, last)
            found = self._log.events_in_order[after : after + limit]
            known = {one.token: one for one in self._log.visitors.all()}
        rows = [_read(one, known, identify) for one in found]
        position = rows[-1].position if rows else after
        return LogPage(rows, position, position == last)

    def find_end(self) -> int:
        """Return the position of the last event; 0 if there is none."""
        if self._is_closed:
            raise ClosedError
        return self._log.last()

    def find_moved(self, after: int) -> int | None:
        """Return None: there is no other server."""
        del after
        return None

    def read_moved(self, after: int, until: int, limit: int, *, identify: str | None) -> Sequence[LogRow]:
        """Return nothing: there is no other server."""
        del after, until, limit, identify
        return ()

    def find_event(self, position: int) -> LogRow | None:
        """Return the event of a position that has been read before; None if it is not in the log any more."""
        rows = self.read_page(position - 1, 1).rows if position <= self._log.last() else ()
        return rows[0] if rows else None

    def find_tenures(self, events: Sequence[tuple[int, UUID]]) -> Mapping[int, Tenure]:
        """Return nothing: there is no other server, and so only the first tenure."""
        del events
        return {}

    def close(self) -> None:
        """End all further reads with `ClosedError`."""
        self._is_closed = True


def _read(one: Positioned, known: dict[int, MemoryVisitor], identify: str | None) -> LogRow:
    position, sealed = one
    event, visitor = sealed.event, known.get(token_of(sealed.originator_id))
    row = LogRow(position, sealed.originator_id, sealed.originator_version, event.organization, event)
    if event.organization != identify or visitor is None or isinstance(event, ServiceEvent):
        return row
    return row._replace(visitor=visitor.key, private=open_private(sealed.sealed))
