"""The part of the log that is in the tree, and how much is not."""

from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import Cursor

from offerlog_application.ports.sealed_tree import TreeProgress
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.tiles import TILE_WIDTH
from offerlog_infrastructure.postgres.log.horizon import (
    BEGIN,
    LAST_DRAWN,
    SELECT_LAST_POSITION,
    count_positions,
)
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.reads.progress import age_of

_MAX_COUNTED: Final = 10_000
"""Up to so many unsealed events are counted; beyond it, positions are."""

_SELECT_PROGRESS: LiteralString = f"""
    SELECT p.size, p.position,
        (
            SELECT count(*) FROM (
                SELECT FROM offerlog_events e
                WHERE e.notification_id > greatest(p.position, {BEGIN})
                  AND e.notification_id <= {LAST_DRAWN}
                LIMIT {_MAX_COUNTED + 1}
            ) AS newer
        ),
        ({SELECT_LAST_POSITION}),
        next.originator_id, next.originator_version, next.topic, next.state
    FROM tree_progress p LEFT JOIN LATERAL (
        SELECT * FROM offerlog_events e WHERE e.notification_id > greatest(p.position, {BEGIN})
        ORDER BY e.notification_id LIMIT 1
    ) AS next ON next.notification_id <= {LAST_DRAWN}
"""
_SELECT_LAST_TILE: LiteralString = """
    SELECT n, octet_length(hashes), last_position FROM tree_tiles WHERE level = 0 ORDER BY n DESC LIMIT 1
"""


def read_progress(cursor: Cursor[Any], mapper: EventMapper, now: datetime) -> TreeProgress:
    """Read how far the log is in the tree.

    Args:
        cursor: A cursor that returns tuples.
        mapper: Reads the next event, for its time.
        now: The time.
    """
    row = cursor.execute(_SELECT_PROGRESS, prepare=True).fetchone()
    if row is None:  # somebody deleted the row: the tiles say where the tree ends, and an audit names it
        n, length, last = cursor.execute(_SELECT_LAST_TILE).fetchone() or (0, 0, 0)
        return TreeProgress(n * TILE_WIDTH + length // HASH_BYTES, last, 0, None, is_lost=True)
    size, position, behind, last, *missing = row
    lag = behind if behind <= _MAX_COUNTED else count_positions(position, last)
    return TreeProgress(size, position, lag, age_of(mapper, missing, now))
