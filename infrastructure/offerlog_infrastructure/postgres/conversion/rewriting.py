"""The rewriting of old events: whole streams, in pages, each page one transaction with its bookmark."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_domain.event_fields import RecordedEvent
from offerlog_infrastructure.postgres.conversion.errors import UnreadableFirstEventError
from offerlog_infrastructure.postgres.conversion.parked_places import ParkedPlaces
from offerlog_infrastructure.postgres.conversion.stored_forms import UNREADABLE, decode_stored
from offerlog_infrastructure.postgres.conversion.unsealed_event import UnsealedEvent
from offerlog_infrastructure.postgres.conversion.visitors_of_streams import StreamVisitors
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS, PositionedRow

_STREAMS_A_PAGE: Final = 2_000
"""Number of streams of a page: half a second of work, which is lost if the process is killed."""

_SELECT_STREAMS: LiteralString = """
    SELECT notification_id, originator_id FROM first_events
    WHERE notification_id > %s AND originator_version = 1 ORDER BY notification_id LIMIT %s
"""
"""The first event of each stream, in order of position: so the earliest stream of a visitor comes first."""

_SELECT_EVENTS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM first_events WHERE originator_id = ANY(%s::text::uuid[])
    ORDER BY originator_id, originator_version
"""
_SELECT_BOOKMARK: LiteralString = "SELECT reached, events FROM conversion FOR UPDATE"
_UPDATE_BOOKMARK: LiteralString = "UPDATE conversion SET reached = %s, events = events + %s"
_USE_INDEXES: Final = b"SET LOCAL enable_seqscan = off"
"""The tables that fill up have no statistics yet, and PostgreSQL would read all of them for each page."""

_COPY: LiteralString = """
    COPY offerlog_events (notification_id, originator_version, originator_id, topic, state)
    FROM STDIN (FORMAT BINARY)
"""
_TYPES: Final = ("int8", "int4", "uuid", "text", "bytea")

_Stream = tuple[Sequence[PositionedRow], Sequence[UnsealedEvent]]
"""The rows of an old stream, and their events."""


class Rewriter:
    """Rewrites the events of `first_events` into the log.

    Args:
        connection: In auto-commit mode, in the store's schema.
        visitors: Finds and makes visitors.
    """

    def __init__(self, connection: Connection[Any], visitors: StreamVisitors) -> None:
        self._connection = connection
        self._visitors = visitors
        self._mapper = EventMapper()

    def run(self, on_progress: Callable[[RebuildProgress], None]) -> None:
        """Rewrite all streams that are not rewritten yet.

        Raises:
            UnreadableFirstEventError: An old event cannot be read. The pages before it are rewritten.
        """
        with self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            (total,) = _one(cursor.execute("SELECT count(*) FROM first_events"))
            while True:
                with self._connection.transaction():
                    cursor.execute(_USE_INDEXES)
                    reached, events = _one(cursor.execute(_SELECT_BOOKMARK))
                    on_progress(RebuildProgress("rewriting", events, total))
                    if not self._rewrite_page(cursor, reached):
                        return

    def _rewrite_page(self, cursor: Cursor[tuple[Any, ...]], reached: int) -> bool:
        """Rewrite the streams that begin behind a position; returns False if there is none."""
        firsts = cursor.execute(_SELECT_STREAMS, (reached, _STREAMS_A_PAGE), prepare=True).fetchall()
        if not firsts:
            return False
        wanted = ",".join([f"{stream.int:032x}" for _, stream in firsts])
        stored: list[PositionedRow] = cursor.execute(
            _SELECT_EVENTS, (f"{{{wanted}}}",), prepare=True
        ).fetchall()
        old = {stream: _decode_stream(list(rows)) for stream, rows in groupby(stored, key=itemgetter(1))}
        names = {}
        for _, stream in firsts:
            first = old[stream][1][0]
            offer = self._visitors.name(first.event.organization, first.visitor, first.event.action_map_id)
            names[stream] = offer, first.visitor, first.event.recorded_at
        opened = self._visitors.open(cursor, names)
        row = self._mapper.row
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for stream, target in opened.items():
                for position, recorded in _complete(stream, old[stream]):
                    copy.write_row((position, *row(recorded, target)))
        cursor.execute(_UPDATE_BOOKMARK, (firsts[-1][0], len(stored)), prepare=True)
        return True


def _decode_stream(rows: Sequence[PositionedRow]) -> _Stream:
    """Decode a whole stream, and check that its events belong together.

    Raises:
        UnreadableFirstEventError: An event cannot be read, is missing, or belongs to another stream.
    """
    events: list[UnsealedEvent] = []
    for place, (position, stream, version, topic, state) in enumerate(rows, 1):
        try:
            if version != place:
                raise LookupError(f"version {place} before it is missing")
            one = decode_stored(topic, state)
            if events and _owner(one) != _owner(events[0]):
                raise ValueError("it belongs to another visitor or action map than the events before it")
        except UNREADABLE as error:
            raise UnreadableFirstEventError(position, stream, version, topic, str(error)) from error
        events.append(one)
    return rows, events


def _owner(one: UnsealedEvent) -> tuple[object, ...]:
    return one.visitor, one.event.action_map_id, one.event.organization


def _complete(stream: UUID, old: _Stream) -> Iterator[tuple[int, RecordedEvent[Any]]]:
    """Yield the events of a stream as they are to be stored, each with its position."""
    places = ParkedPlaces()
    for (position, _, version, _, _), one in zip(*old, strict=True):
        event = places.complete(one.event, one.private.action_id, version)
        yield position, RecordedEvent(stream, version, event, one.private)


def _one(rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return next(iter(rows))
