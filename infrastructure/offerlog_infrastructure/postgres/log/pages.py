"""A page of the log, decoded for the projections: the readable events, and the unreadable ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.projections.page import Positioned, streams_with_repeats
from offerlog_application.projections.proof import SliceProof, prove
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import LifecycleEvent, is_sealed_lifecycle_event
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import get_place, select_cut, select_each
from offerlog_infrastructure.postgres.log.horizon import UP_TO
from offerlog_infrastructure.postgres.log.mapper import EventMapper

EVENT_COLUMNS: LiteralString = "notification_id, originator_id, originator_version, topic, state"

_SELECT_PAGE: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
"""

_SELECT_STREAMS_UP_TO: LiteralString = f"""
    SELECT e.*, EXISTS (SELECT FROM archive_place) FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT {EVENT_COLUMNS} FROM offerlog_events
        WHERE originator_id = wanted.id AND {UP_TO} ORDER BY originator_version
    ) AS e
"""
PositionedRow = tuple[int, UUID, int, str, bytes]
"""A stored event with its position: position, stream, version, topic and state, as in `EVENT_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that cannot be decoded, or that a projection cannot apply."""

    position: int
    stream: UUID
    version: int
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


def select_page(cursor: Cursor[Any], after: int, until: int, limit: int) -> list[PositionedRow]:
    """Select the next events of the log, in order of position. The cursor must return tuples.

    Args:
        cursor: Selects them.
        after: The position before the page, or 0 for the beginning of the log.
        until: The last position allowed; one of this log. So no foreign event is ever on a page.
        limit: The most events.
    """
    after = max(after, begin_of_shard(until))
    return cursor.execute(_SELECT_PAGE, (after, until, limit), prepare=True).fetchall()


def decode_page(
    cursor: Cursor[Any],
    mapper: EventMapper,
    files: ArchivedFiles,
    rows: Sequence[PositionedRow],
    last: int | None = None,
) -> DecodedPage:
    """Decode stored events in order of position. The cursor must return binary tuples.

    Args:
        cursor: Selects the earlier events of streams with repeats.
        mapper: Decodes the events that this build knows.
        files: Has those of the earlier events that are archived.
        rows: In order of position.
        last: The last position of the earlier events; None for that of the rows.
    """
    events, unreadable = _decode(mapper, rows)
    repeating = streams_with_repeats(events)
    found: Sequence[SealedEvent[Event]] = []
    if repeating:
        last = max(row[0] for row in rows) if last is None else last
        found = _select_earlier(cursor, mapper, files, repeating, last)
    return _make_page(rows, events, unreadable, repeating, found)


def decode_whole_streams(mapper: EventMapper, rows: Sequence[PositionedRow]) -> DecodedPage:
    """Decode stored events, stream by stream; the rows hold every event of their streams."""
    events, unreadable = _decode(mapper, rows)
    repeating = streams_with_repeats(events)
    found = [one.recorded for one in events if one.recorded.originator_id in repeating]
    return _make_page(rows, events, unreadable, repeating, found)


def cut_between_visitors(pages: Iterable[Sequence[PositionedRow]]) -> Iterator[list[PositionedRow]]:
    """Cut rows in order of their streams anew: each page ends with the last event of a visitor.

    So the page that says that a visitor was erased has all other events of the visitor.
    """
    rest: list[PositionedRow] = []
    for page in pages:
        rows = [*rest, *page]
        end = len(rows)
        last = token_of(rows[-1][1])
        while end and token_of(rows[end - 1][1]) == last:
            end -= 1  # the last visitor may continue on the next page
        rest = rows[end:]
        if end:
            yield rows[:end]
    if rest:
        yield rest


def _decode(mapper: EventMapper, rows: Sequence[PositionedRow]) -> tuple[list[Positioned], list[FailedEvent]]:
    events: list[Positioned] = []
    unreadable: list[FailedEvent] = []
    read = mapper.event
    for position, stream, version, topic, state in rows:
        try:
            events.append(Positioned(position, read(stream, version, topic, state)))
        except UnreadableEventError as error:
            unreadable.append(FailedEvent(position, stream, version, error))
    return events, unreadable


def _make_page(
    rows: Sequence[PositionedRow],
    events: Sequence[Positioned],
    unreadable: Sequence[FailedEvent],
    repeating: set[UUID],
    found: Sequence[SealedEvent[Event]],
) -> DecodedPage:
    earlier: dict[UUID, list[SealedEvent[LifecycleEvent]]] = {stream: [] for stream in repeating}
    for recorded in found:
        if is_sealed_lifecycle_event(recorded):
            earlier[recorded.originator_id].append(recorded)
    proof = prove((row[0], row[1]) for row in rows)
    return DecodedPage(rows, events, unreadable, earlier, proof)


def _select_earlier(
    cursor: Cursor[Any],
    mapper: EventMapper,
    files: ArchivedFiles,
    streams: set[UUID],
    last: int,
) -> list[SealedEvent[Event]]:
    """Select all readable events of some streams up to a position."""
    events = []
    stored = cursor.execute(_SELECT_STREAMS_UP_TO, (list(streams), last), prepare=True).fetchall()
    if not stored or stored[0][-1]:
        archived = select_each(cursor.connection, files, list(streams))
        known = {get_place(row) for row in archived}
        is_wanted = select_cut(cursor.connection, last)
        stored = [
            *(row for row in archived if is_wanted(row[0])),
            *(row for row in stored if row[1:3] not in known),
        ]
    for _, stream, version, topic, state, *_ in stored:
        try:
            events.append(mapper.event(stream, version, topic, state))
        except UnreadableEventError:
            continue  # the stream is a dead letter from this event on, or this page makes it one
    return events
