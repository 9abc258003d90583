"""The last step of a move: the source deletes the rows of a slice that the target has taken."""

import time
from collections.abc import Callable
from typing import Any, Final, LiteralString

from psycopg import Cursor, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_application.ports.shards import ShardError
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.shards.move_steps import connected
from offerlog_infrastructure.postgres.shards.slice_counts import fold_apart
from offerlog_infrastructure.postgres.shards.slice_files import doom_files
from offerlog_infrastructure.postgres.shards.slice_range import (
    BLOCKS,
    DEAD_LETTERS,
    EVENTS,
    HOLDS,
    NAMED_ACTIONS,
    PROJECTED,
    REFUSALS,
    TOMBSTONES,
    VISITORS,
    SliceRange,
)
from offerlog_infrastructure.postgres.shards.taken_counts import SliceCounts

_LOOK_SECONDS: Final = 0.02

_LOCK_LEAVING: LiteralString = """
    SELECT target FROM leaving_slices WHERE slice = %s AND epoch = %s FOR UPDATE SKIP LOCKED
"""
_IS_LEAVING: LiteralString = """
    SELECT EXISTS (SELECT FROM leaving_slices WHERE slice = %s AND epoch = %s)
"""
_LOCK_POSITIONS: LiteralString = """
    SELECT notification_id FROM offerlog_tracking ORDER BY application_name FOR UPDATE
"""
"""The row locks keep the projectors off the counts."""

_SELECT_SEALED: LiteralString = "SELECT position FROM tree_progress"
_SELECT_OWN: LiteralString = """
    SELECT coalesce(sum(events), 0)::bigint, min(first), max(last), sum(digest) FROM (
        SELECT count(*), min(notification_id), max(notification_id),
            sum(notification_id::numeric * notification_id)
        FROM offerlog_events WHERE {of_events} AND notification_id >> {bits} = {shard}
        UNION ALL
        SELECT sum(events), min(first_position), max(last_position), sum(digest)
        FROM archived_files WHERE slice = {slice} AND first_position >> {bits} = {shard}
    ) AS parts (events, first, last, digest)
"""
_INSERT_MOVED: LiteralString = """
    INSERT INTO moved_events (slice, target, epoch, events, first_position, last_position, digest)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_DELETE_LEAVING: LiteralString = "DELETE FROM leaving_slices WHERE slice = %s"

_NOT_FOLDED: Final = "the count of its events"


def leave(
    store: OfferlogApplication,
    shard: int,
    fenced: tuple[SliceRange, int],
    counts: SliceCounts | None,
    seconds: float,
    *,
    on_events: Callable[[int], None] = lambda _: None,
) -> None:
    """Delete the rows of a slice on the source, and subtract its counts; do nothing if that was done.

    Waits until nobody there needs its events any more: the projections and the tree have passed them. If
    another process is deleting the rows, waits for that.

    Args:
        store: The source.
        shard: Its number.
        fenced: The slice, and its epoch since the fence.
        counts: The counts of the slice, as the take has stored them. If they do not fit, they are folded from
            its events. None to do so at once: an offerlog before migration 59 has taken the slice.
        seconds: How long to wait.
        on_events: Called with the number of events that are folded, if they are.

    Raises:
        ShardError: Something there does not pass the events of the slice, or the counts do not fit.
        StoreUnavailableError: The source cannot be reached.
    """
    schema = store.log.datastore.schema
    until = time.monotonic() + seconds
    are_stored = counts is not None
    with connected(store) as connection:
        while True:
            try:
                with connection.transaction():
                    cursor = connection.cursor(binary=True, row_factory=tuple_row)
                    late = _try_to_leave(cursor, schema, shard, fenced, counts)
            except ShardError:
                if not are_stored:
                    raise
                late = _NOT_FOLDED  # what waited as a dead letter at the take may be applied here by now
            if not late:
                return
            if late == _NOT_FOLDED:  # the slice is fenced, and no event comes any more
                with connection.transaction():
                    counts, are_stored = fold_apart(connection, schema, fenced[0], on_events), False
                continue
            if time.monotonic() > until:
                raise ShardError(
                    f"slice {fenced[0].number:x} is moved, and its rows cannot be deleted on shard {shard}"
                    f" yet: {late}. See that a service runs, which ends the move, or run the same command"
                    " again"
                )
            time.sleep(_LOOK_SECONDS)


def _try_to_leave(
    cursor: Cursor[Any],
    schema: str,
    shard: int,
    fenced: tuple[SliceRange, int],
    counts: SliceCounts | None,
) -> str:
    """Delete the rows, unless something has not passed the events yet; returns what stands against it."""
    slice_range, epoch = fenced
    leaving: Any = cursor.execute(_LOCK_LEAVING, (slice_range.number, epoch)).fetchone()
    if leaving is None:
        is_leaving = cursor.execute(_IS_LEAVING, (slice_range.number, epoch)).fetchone() == (True,)
        return "another process is deleting them" if is_leaving else ""
    positions = [position for (position,) in cursor.execute(_LOCK_POSITIONS).fetchall()]
    sealed: Any = cursor.execute(_SELECT_SEALED).fetchone()
    count, first, last, digest = _select_own(cursor, shard, slice_range)
    if count and min(positions) < last:
        return "a projection there does not pass its last event"
    if count and sealed[0] < last:
        return "the tree over the log there does not pass its last event"
    if counts is None:
        return _NOT_FOLDED
    _check_dead_letters(cursor, shard, slice_range, counts)
    counts.subtract(cursor, schema)
    for table in (
        EVENTS,
        VISITORS,
        TOMBSTONES,
        HOLDS,
        BLOCKS,
        NAMED_ACTIONS,
        REFUSALS,
        DEAD_LETTERS,
        *PROJECTED,
    ):
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE {}").format(
                sql.Identifier(schema, table.name), slice_range.rows_of(table)
            )
        )
    doom_files(cursor, slice_range)
    if count:
        cursor.execute(_INSERT_MOVED, (slice_range.number, leaving[0], epoch, count, first, last, digest))
    cursor.execute(_DELETE_LEAVING, (slice_range.number,))
    return ""


def _select_own(cursor: Cursor[Any], shard: int, slice_range: SliceRange) -> tuple[Any, ...]:
    row: Any = cursor.execute(
        sql.SQL(_SELECT_OWN).format(
            of_events=slice_range.rows_of(EVENTS),
            bits=sql.Literal(SHARD_BITS),
            shard=sql.Literal(shard),
            slice=sql.Literal(slice_range.number),
        )
    ).fetchone()
    return tuple(row)


def _check_dead_letters(
    cursor: Cursor[Any], shard: int, slice_range: SliceRange, counts: SliceCounts
) -> None:
    """Check that the same events wait as where the counts were folded.

    Raises:
        ShardError: Others wait.
    """
    found = cursor.execute(
        sql.SQL("SELECT view, originator_id, originator_version FROM dead_letters WHERE {}").format(
            slice_range.rows_of(DEAD_LETTERS)
        )
    ).fetchall()
    if {*found} != counts.dead_streams():
        raise ShardError(
            f"the slice is moved, and other visitor-offers of it wait as dead letters on shard {shard} than"
            " on the target: run `offerlog projections dead-letters --retry`, and the same command again"
        )
