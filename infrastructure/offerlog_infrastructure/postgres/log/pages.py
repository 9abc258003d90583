"""A page of the log, decoded for the projections: the readable events, and the unreadable ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.projections.page import Positioned, streams_with_repeats
from offerlog_application.projections.proof import SliceProof, prove
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import LifecycleEvent, is_sealed_lifecycle_event
from offerlog_infrastructure.postgres.log.mapper import EventMapper

EVENT_COLUMNS: LiteralString = "notification_id, originator_id, originator_version, topic, state"

SELECT_PAGE: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
"""
"""Parameters: the position before the page, the last position allowed, the most events."""

_SELECT_STREAMS_UP_TO: LiteralString = f"""
    SELECT e.* FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT {EVENT_COLUMNS} FROM offerlog_events
        WHERE originator_id = wanted.id AND notification_id <= %s ORDER BY originator_version
    ) AS e
"""
PositionedRow = tuple[int, UUID, int, str, bytes]
"""A stored event with its position: position, stream, version, topic and state, as in `EVENT_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that cannot be decoded, or that a projection cannot apply."""

    position: int
    stream: UUID
    error: Exception


@dataclass(frozen=True, slots=True)
class DecodedPage:
    """Consecutive events of the log, or all events of some streams, decoded where possible.

    Attributes:
        rows: All events, as stored.
        events: The events that this build can read.
        unreadable: The events that it cannot read.
        earlier: Earlier events of streams with repeats, as in `Page`.
        proof: The sums that all rows add to the proof of each slice.
    """

    rows: Sequence[PositionedRow]
    events: Sequence[Positioned]
    unreadable: Sequence[FailedEvent]
    earlier: Mapping[UUID, Sequence[SealedEvent[LifecycleEvent]]]
    proof: Mapping[int, SliceProof]


def decode_page(
    cursor: Cursor[Any], mapper: EventMapper, rows: Sequence[PositionedRow], *, whole_streams: bool = False
) -> DecodedPage:
    """Decode stored events. The cursor must return binary tuples.

    Args:
        cursor: Selects the earlier events of streams with repeats.
        mapper: Decodes the events that this build knows.
        rows: In order of position, or stream by stream.
        whole_streams: True if the rows hold every event of their streams, so none are earlier.
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
    earlier: dict[UUID, list[SealedEvent[LifecycleEvent]]] = {stream: [] for stream in repeating}
    if whole_streams:
        found = [one.recorded for one in events if one.recorded.originator_id in repeating]
    else:
        found = _select_earlier(cursor, mapper, repeating, rows) if repeating else []
    for recorded in found:
        if is_sealed_lifecycle_event(recorded):
            earlier[recorded.originator_id].append(recorded)
    proof = prove((row[0], row[1]) for row in rows)
    return DecodedPage(rows, events, unreadable, earlier, proof)


def _select_earlier(
    cursor: Cursor[Any], mapper: EventMapper, streams: set[UUID], rows: Sequence[PositionedRow]
) -> list[SealedEvent[Event]]:
    """Select all readable events of some streams up to the last position of these rows."""
    events = []
    last = max(row[0] for row in rows)
    for _, stream, version, topic, state in cursor.execute(
        _SELECT_STREAMS_UP_TO, (list(streams), last), prepare=True
    ):
        try:
            events.append(mapper.event(stream, version, topic, state))
        except UnreadableEventError:
            continue  # the stream is a dead letter from this event on, or this page makes it one
    return events
