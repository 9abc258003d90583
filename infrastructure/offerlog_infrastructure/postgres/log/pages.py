"""A page of the log as it is read for projections: what can be read of it, and what cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor

from offerlog_application.projections.page import Positioned, streams_with_repeats
from offerlog_application.projections.proof import SliceProof, prove
from offerlog_domain.event_fields import Event
from offerlog_domain.events import LifecycleEvent
from offerlog_infrastructure.postgres.log.mapper import EventMapper, UnreadableEventError

EVENT_COLUMNS: LiteralString = "notification_id, originator_id, originator_version, topic, state"

SELECT_PAGE: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
"""
"""A page of the log: behind one position, up to another, at most so many."""

_SELECT_STREAMS_UP_TO: LiteralString = f"""
    SELECT e.* FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT {EVENT_COLUMNS} FROM offerlog_events
        WHERE originator_id = wanted.id AND notification_id <= %s ORDER BY originator_version
    ) AS e
"""
PositionedRow = tuple[int, UUID, int, str, bytes]
"""Position, stream, version, topic and state: `EVENT_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that this build cannot read."""

    position: int
    stream: UUID
    error: Exception


@dataclass(frozen=True, slots=True)
class DecodedPage:
    """Consecutive events of the log, or of whole streams, as far as they can be read.

    Attributes:
        rows: All of them, as stored.
        events: Those that can be read.
        unreadable: Those that cannot.
        earlier: As in `Page`.
        proof: What all of them together add to the proof of each slice.
    """

    rows: Sequence[PositionedRow]
    events: Sequence[Positioned]
    unreadable: Sequence[FailedEvent]
    earlier: Mapping[UUID, Sequence[LifecycleEvent]]
    proof: Mapping[int, SliceProof]


def decode_page(
    cursor: Cursor[Any], mapper: EventMapper, rows: Sequence[PositionedRow], *, whole_streams: bool = False
) -> DecodedPage:
    """Read stored events; the cursor gives binary tuples.

    Args:
        cursor: Where to ask for earlier events of streams with repeats.
        mapper: Knows the events of this build.
        rows: In order of position, or stream by stream.
        whole_streams: Whether the rows hold every event of their streams, so that there are none earlier.
    """
    events: list[Positioned] = []
    unreadable: list[FailedEvent] = []
    read = mapper.event
    for position, stream, version, topic, state in rows:
        try:
            events.append(Positioned(position, read(stream, version, topic, state)))
        except UnreadableEventError as error:
            unreadable.append(FailedEvent(position, stream, error))
    repeating = streams_with_repeats(events)
    earlier: dict[UUID, list[LifecycleEvent]] = {stream: [] for stream in repeating}
    if whole_streams:
        found = [one.event for one in events if one.event.originator_id in repeating]
    else:
        found = _select_earlier(cursor, mapper, repeating, rows) if repeating else []
    for event in found:
        if isinstance(event, LifecycleEvent):
            earlier[event.originator_id].append(event)
    proof = prove((row[0], row[1]) for row in rows)
    return DecodedPage(rows, events, unreadable, earlier, proof)


def _select_earlier(
    cursor: Cursor[Any], mapper: EventMapper, streams: set[UUID], rows: Sequence[PositionedRow]
) -> list[Event]:
    """All events of some streams up to the end of these rows, as far as they can be read."""
    events = []
    last = max(row[0] for row in rows)
    for _, stream, version, topic, state in cursor.execute(
        _SELECT_STREAMS_UP_TO, (list(streams), last), prepare=True
    ):
        try:
            events.append(mapper.event(stream, version, topic, state))
        except UnreadableEventError:
            continue  # the stream is a dead letter from there on, or becomes one with this page
    return events
