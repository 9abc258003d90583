"""The steps of a move that a shard stores: each is one transaction on one shard.

`tests/models/move.pml` has the same steps, and a model checker has searched every order of them, with any
number of movers that are killed, stand still and start again. The conditions here are those of the model. A
label is the epoch under which the source owned the slice when the move began.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.shards.slice_range import SliceRange

_SELECT_SLICE: LiteralString = """
    SELECT s.is_owned, s.epoch, l.target, l.epoch, coalesce(a.label, 0), a.source, r.source, r.epoch
    FROM slices s LEFT JOIN leaving_slices l USING (slice) LEFT JOIN arriving_slices a USING (slice)
        LEFT JOIN arrived_slices r USING (slice)
    WHERE s.slice = %s
"""
_STAGE: LiteralString = """
    INSERT INTO arriving_slices AS a (slice, source, label) VALUES (%(slice)s, %(source)s, %(label)s)
    ON CONFLICT (slice) DO UPDATE SET source = excluded.source, label = excluded.label
    WHERE a.closed < excluded.label AND a.label <= excluded.label
    RETURNING slice
"""
_GIVE: LiteralString = """
    WITH given AS (
        UPDATE slices SET is_owned = false, epoch = epoch + 1
        WHERE slice = {slice} AND is_owned AND epoch = {label} RETURNING slice, epoch
    )
    INSERT INTO leaving_slices (slice, target, epoch) SELECT slice, {target}, epoch FROM given RETURNING epoch
"""
_CHECK_LABEL: LiteralString = """
    DO $$ BEGIN
        PERFORM FROM arriving_slices WHERE slice = {slice} AND label = {label} FOR UPDATE;
        IF NOT FOUND THEN RAISE 'the label is closed' USING ERRCODE = '{closed}'; END IF;
    END $$
"""
_TAKE: LiteralString = "UPDATE slices SET is_owned = true, epoch = {epoch} WHERE slice = {slice}"
_CLOSE: LiteralString = """
    INSERT INTO arriving_slices AS a (slice, source, label, closed)
    VALUES ({slice}, {source}, 0, {label})
    ON CONFLICT (slice) DO UPDATE SET label = 0, closed = excluded.closed WHERE a.closed < excluded.closed
"""
_DELETE_LEAVING: LiteralString = "DELETE FROM leaving_slices WHERE slice = %s AND epoch = %s"
_REOPEN: LiteralString = """
    UPDATE slices SET is_owned = true, epoch = %(label)s + 2
    WHERE slice = %(slice)s AND (%(was_fenced)s OR (is_owned AND epoch = %(label)s))
"""
_BEGIN_TENURE: LiteralString = """
    WITH RECURSIVE lasts (position) AS ( -- the last event of each server, that of the highest number first
        SELECT max(notification_id) FROM {partition}
        UNION ALL
        SELECT (
            SELECT max(notification_id) FROM {partition}
            WHERE notification_id <= position >> {bits} << {bits}
        ) FROM lasts WHERE position IS NOT NULL
    )
    INSERT INTO slice_tenures (slice, behind, epoch, earlier)
    SELECT {slice}, last_value - (NOT is_called)::integer, {epoch}, ARRAY(
        SELECT max(position) FROM (
            SELECT position FROM lasts
            UNION ALL SELECT last_position FROM archived_files WHERE slice = {slice}
        ) AS found (position)
        WHERE position >> {bits} <> last_value >> {bits} GROUP BY position >> {bits} ORDER BY 1
    ) FROM log_positions
    ON CONFLICT (slice, behind) DO UPDATE SET epoch = excluded.epoch, earlier = excluded.earlier
"""
"""So the events of a visitor have an order over several servers: see `Tenure`.

A former tenure in which nothing was recorded here begins at the same position.
"""
_NOTE_ARRIVED: LiteralString = """
    INSERT INTO arrived_slices (slice, source, epoch)
    SELECT slice, source, label + 1 FROM arriving_slices WHERE slice = {slice}
    ON CONFLICT (slice) DO UPDATE SET source = excluded.source, epoch = excluded.epoch
"""
_FORGET_ARRIVED: LiteralString = "DELETE FROM arrived_slices WHERE slice = %s AND epoch = %s"
_FORGET_MOVED: LiteralString = "DELETE FROM moved_events WHERE slice = {slice}"

CLOSED: Final[LiteralString] = "OTAKE"
"""The SQLSTATE of a take whose label is closed."""


class Move(NamedTuple):
    """A move of a slice.

    Attributes:
        slice: The slice.
        source: The number of the shard that had it.
        target: The number of the shard that gets it.
        label: The epoch under which the source owned it.
    """

    slice: int
    source: int
    target: int
    label: int


class SliceRow(NamedTuple):
    """The state of a slice on a shard.

    Attributes:
        is_owned: True if it owns the slice.
        epoch: The epoch of this answer.
        target: Where the slice goes, if it is fenced here and its rows are here; None otherwise.
        fence_epoch: Its epoch since that fence; None likewise.
        label: The label by which it may be taken here; 0 for none.
        came_from: The source of the last move to here; None if there was none. Of the owner, the shard that
            had the slice before.
        left_source: The source of that move, while it may still have rows or files of the slice; None
            otherwise.
        left_epoch: Its epoch there since the fence; None likewise.
    """

    is_owned: bool
    epoch: int
    target: int | None
    fence_epoch: int | None
    label: int
    came_from: int | None
    left_source: int | None
    left_epoch: int | None


@contextmanager
def connected(store: OfferlogApplication) -> Iterator[StoreConnection]:
    """Open a connection to a shard for a step, in auto-commit mode: it lasts longer than a lent one may.

    Raises:
        StoreUnavailableError: The shard cannot be reached, or a statement inside the block has failed.
    """
    with store_reached(store.log.datastore), store.connect_to_move() as connection:
        yield connection


def read_slice(store: OfferlogApplication, number: int) -> SliceRow:
    """Read the state of a slice on a shard."""
    with connected(store) as connection:
        row: Any = _tuples(connection).execute(_SELECT_SLICE, (number,)).fetchone()
    return SliceRow(*row)


def is_owned(connection: Connection[Any], number: int, label: int) -> bool:
    """Return True if a shard owns a slice under a label."""
    row: Any = _tuples(connection).execute(_SELECT_SLICE, (number,)).fetchone()
    of_shard = SliceRow(*row)
    return of_shard.is_owned and of_shard.epoch == label


def stage(store: OfferlogApplication, number: int, source: int, label: int) -> bool:
    """Note on the target that a slice may be taken by a label; False if that label is closed there."""
    with connected(store) as connection:
        row = connection.execute(_STAGE, {"slice": number, "source": source, "label": label}).fetchone()
    return row is not None


def give(move: Move) -> list[sql.Composable]:
    """Return the statements that give a slice away on the source, to nobody yet, and commit.

    The second one has a row, unless the source does not own the slice under the label. Older writers have not
    ended yet.
    """
    row = sql.SQL(_GIVE).format(
        slice=sql.Literal(move.slice), label=sql.Literal(move.label), target=sql.Literal(move.target)
    )
    return [sql.SQL("BEGIN"), row, sql.SQL("COMMIT")]


def take(number: int, label: int) -> list[sql.Composable]:
    """Return the statements that take a slice on the target, with all rows of the current transaction.

    The first one fails with the SQLSTATE `CLOSED` if the label is closed. The caller commits.
    """
    parts = {
        "slice": sql.Literal(number),
        "label": sql.Literal(label),
        "epoch": sql.Literal(label + 2),
        "source": sql.Literal(0),
        "closed": sql.SQL(CLOSED),
        "partition": sql.Identifier(SliceRange(number).partition),
        "bits": sql.Literal(SHARD_BITS),
    }
    taking = (_CHECK_LABEL, _BEGIN_TENURE, _NOTE_ARRIVED, _TAKE, _CLOSE, _FORGET_MOVED)
    return [sql.SQL(one).format(**parts) for one in taking]


def is_taken(store: OfferlogApplication, number: int, label: int) -> bool:
    """Return True if the target has taken a slice by a label. It may have passed it on since."""
    return read_slice(store, number).epoch >= label + 2


def close(store: OfferlogApplication, number: int, source: int, label: int) -> None:
    """Close a label on the target, so that no mover can take the slice by it; waits for a take."""
    with connected(store) as connection:
        parts = {"slice": number, "source": source, "label": label}
        connection.execute(sql.SQL(_CLOSE).format(**{one: sql.Literal(parts[one]) for one in parts}))


def forget_arrival(store: OfferlogApplication, move: Move) -> None:
    """Note on the target that the source has nothing of a slice any more."""
    with connected(store) as connection:
        connection.execute(_FORGET_ARRIVED, (move.slice, move.label + 1))


def reopen(store: OfferlogApplication, number: int, label: int) -> None:
    """Let the source own a slice again, if it is fenced since the label, or still owned under it.

    The label must be closed on the target, and the slice not taken there.
    """
    with connected(store) as connection, connection.transaction():
        was_fenced = connection.execute(_DELETE_LEAVING, (number, label + 1)).rowcount > 0
        connection.execute(_REOPEN, {"slice": number, "label": label, "was_fenced": was_fenced})


def _tuples(connection: Connection[Any]) -> Cursor[Any]:
    return connection.cursor(row_factory=tuple_row)
