"""The choice of cold streams: at rest since a position of each log, and over."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import LogPosition, shard_of_position
from offerlog_domain.lifecycle import LIFECYCLES
from offerlog_infrastructure.postgres.log.horizon import BEGIN, SELECT_LAST_HOT, WITHIN, ends_of

_EVENTS_IN_BATCH: Final = 50_000
"""The most events of a batch, so of a file; one stream may have more."""

_STREAMS_IN_BATCH: Final = 10_000
"""The most streams of a batch."""

_SELECT_LIMIT: LiteralString = f"""
    SELECT {BEGIN}, least(
        (SELECT min(notification_id) FROM offerlog_tracking WHERE application_name <> '__migration__'),
        (SELECT min(position) FROM tree_progress),
        ({SELECT_LAST_HOT}) - 1
    )
"""
"""The begin of the own log, and its last position that may be moved: projections and tree have passed it.

Of the events of the own log in the table, the last one stays. A slice that came back may have a later one in
a file.
"""

_COUNT_CANDIDATES: LiteralString = "SELECT count(*) FROM current_offers"

_SELECT_COLD: LiteralString = f"""
    SELECT c.originator_id, part.last_version, part.events
    FROM current_offers c
    JOIN visitors v ON v.token = c.visitor
    JOIN current_actions a ON a.originator_id = c.originator_id AND a.number = c.actions
    JOIN unnest(%(media_types)s::text[], %(states)s::text[]) AS over (media_type, state)
        ON over.media_type = a.media_type AND over.state = a.state
    CROSS JOIN LATERAL (
        SELECT max(e.originator_version) AS last_version, count(*) AS events,
            bool_and(({WITHIN.replace("%s", "%(ends)s")}) IS TRUE) AS is_cold
        FROM offerlog_events e WHERE e.originator_id = c.originator_id
    ) AS part
    CROSS JOIN LATERAL (
        SELECT coalesce(max(s.last_version), 0) AS last_version
        FROM settled s WHERE s.originator_id = c.originator_id
    ) AS before
    WHERE c.originator_id > %(after)s AND c.originator_id <= %(last)s AND c.withdrawn_at IS NULL
      AND EXISTS (SELECT FROM slices WHERE slice = %(slice)s AND is_owned)
      AND part.is_cold
      AND part.events = part.last_version - before.last_version -- a stream with a gap stays as it is
      AND NOT EXISTS (SELECT FROM parked_signals p WHERE p.originator_id = c.originator_id)
      AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.originator_id = c.originator_id)
    ORDER BY c.originator_id LIMIT %(limit)s
"""


class ColdStream(NamedTuple):
    """A stream whose events in the table may be moved.

    Attributes:
        id: Its id.
        last_version: The version of the last event.
        events: The number of events in the table.
    """

    id: UUID
    last_version: int
    events: int


class ColdEnds(NamedTuple):
    """The last positions whose events may be moved.

    Attributes:
        own: The last such position of the own log.
        of_logs: The last such position of each log, by the number of its server, as `ends_of` returns them.
    """

    own: int
    of_logs: Sequence[int]


def select_cold_ends(connection: Connection[Any], up_to: LogPosition) -> ColdEnds:
    """Return the last positions whose events may be moved.

    Projections and tree have passed the position of the own log. Those of other logs need no such limit: the
    mover of a slice folds what it brings before anybody sees it, and it is in the tree of another server.

    Args:
        connection: Reads the log.
        up_to: No event behind it is to be moved, nor one of a log that it does not name.
    """
    row = connection.cursor(row_factory=tuple_row).execute(_SELECT_LIMIT).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    begin, limit = row
    ends, own = ends_of(up_to), shard_of_position(begin)
    if own < len(ends):
        ends[own] = min(ends[own], limit or 0)
    return ColdEnds(ends[own] if own < len(ends) else begin, ends)


def count_candidates(connection: Connection[Any]) -> int:
    """Count the visitor-offers."""
    row = connection.cursor(row_factory=tuple_row).execute(_COUNT_CANDIDATES).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return int(row[0])


def choose_streams(
    connection: Connection[Any], number: int, after: UUID, ends: Sequence[int]
) -> list[ColdStream]:
    """Choose the next batch of cold streams of a slice, in order of their ids.

    Args:
        connection: Reads the projections and the log.
        number: The slice.
        after: The id behind which to look.
        ends: No event of a cold stream is behind that of its log, as `ends_of` has them.
    """
    over = [
        (media_type, state.value)
        for media_type, lifecycle in LIFECYCLES.items()
        for state in lifecycle.states
        if lifecycle.is_final(state)
    ]
    where = {
        "media_types": [media_type for media_type, _ in over],
        "states": [state for _, state in over],
        "after": after,
        "last": UUID(int=((number + 1) << 124) - 1),
        "ends": ends,
        "slice": number,
        "limit": _STREAMS_IN_BATCH,
    }
    rows = connection.cursor(row_factory=tuple_row).execute(_SELECT_COLD, where).fetchall()
    chosen: list[ColdStream] = []
    events = 0
    for row in rows:
        stream = ColdStream(*row)
        events += stream.events
        if chosen and events > _EVENTS_IN_BATCH:
            break
        chosen.append(stream)
    return chosen
