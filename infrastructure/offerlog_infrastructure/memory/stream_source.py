"""The log in memory, stream by stream."""

from collections.abc import Sequence

from offerlog_application.ports.event_source import LogRow
from offerlog_application.ports.positions import LogPosition, only_position
from offerlog_application.ports.stream_source import StreamPlace
from offerlog_domain.events import is_sealed_lifecycle_event
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.visitors import open_private


class MemoryStreamSource:
    """The application's `StreamSource`; thread-safe."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def read_streams(
        self, behind: StreamPlace, as_of: LogPosition, limit: int, *, identify: str | None = None
    ) -> Sequence[LogRow]:
        """Return the next lifecycle events, ordered by stream and version."""
        with self._log.lock:
            events = tuple(self._log.events_in_order[: only_position(as_of)])
            known = {one.token: one for one in self._log.visitors.all()}
        found = []
        for position, sealed in events:
            place = StreamPlace(sealed.originator_id, sealed.originator_version)
            if place <= behind or not is_sealed_lifecycle_event(sealed):
                continue
            row = LogRow(position, *place, sealed.event.organization, sealed.event)
            visitor = known.get(token_of(place.stream))
            if row.organization == identify and visitor is not None:
                row = row._replace(visitor=visitor.key, private=open_private(sealed.sealed))
            found.append(row)
        return sorted(found, key=lambda row: (row.stream, row.version))[:limit]
