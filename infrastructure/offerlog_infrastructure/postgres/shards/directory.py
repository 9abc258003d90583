"""The directory of the slices on the home, and a store's own number."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.shards import HeldSlices, MoveProgress, ShardError, ShardMap
from offerlog_domain.stream_ids import SLICES
from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_SELECT_IDENTITY: LiteralString = "SELECT number, installation FROM shard"
_SELECT_MAP: LiteralString = """
    SELECT shard, epoch, ARRAY(SELECT number FROM shards) FROM directory ORDER BY slice
"""
_SELECT_ADDRESSES: LiteralString = "SELECT number, url FROM shards"
_SELECT_MOVES: LiteralString = """
    SELECT slice, source, target, step, copied, events FROM slice_moves ORDER BY slice
"""
_SELECT_HELD: LiteralString = """
    SELECT s.is_owned, l.slice IS NOT NULL, s.epoch FROM slices s LEFT JOIN leaving_slices l USING (slice)
    ORDER BY s.slice
"""


class ShardIdentity(NamedTuple):
    """A store as one of several.

    Attributes:
        number: Its number; 0 for the home.
        installation: The same in all shards of an installation.
    """

    number: int
    installation: UUID


def read_identity(application: OfferlogApplication) -> ShardIdentity | None:
    """Read which of several stores this is; None for a store that is the only one.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    with (
        store_reached(application.log.datastore),
        application.log.datastore.get_connection() as connection,
        connection.cursor(row_factory=tuple_row) as cursor,
    ):
        row = cursor.execute(_SELECT_IDENTITY).fetchone()
    return None if row is None else ShardIdentity(*row)


def read_held_slices(application: OfferlogApplication) -> HeldSlices:
    """Read the slices that a store has.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    datastore = application.reading
    with (
        store_reached(datastore),
        datastore.get_connection() as connection,
        connection.cursor(row_factory=tuple_row) as cursor,
    ):
        return select_held_slices(cursor)


def select_held_slices(cursor: Cursor[tuple[Any, ...]]) -> HeldSlices:
    """Select the slices that a store has."""
    rows = cursor.execute(_SELECT_HELD, prepare=True).fetchall()
    return HeldSlices(
        frozenset(number for number, row in enumerate(rows) if row[0]),
        frozenset(number for number, row in enumerate(rows) if row[1]),
        tuple(row[2] for row in rows),
    )


def check_shard(found: ShardIdentity | None, home: ShardIdentity | None, number: int) -> None:
    """Check that a store is the shard of a number in the installation of a home.

    Raises:
        ShardError: It is another store.
    """
    if home is None or found != ShardIdentity(number, home.installation):
        raise ShardError(
            f"the store at the address of shard {number} is another one: see `offerlog shards status`"
        )


class PostgresDirectory:
    """The application's `Directory` on the home; thread-safe.

    Args:
        application: The log of the home.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading

    def read_map(self) -> ShardMap:
        """Return the shard of each slice, as it is now.

        Raises:
            ShardError: The directory lacks a slice.
        """
        rows = ask_again(lambda: self._select(_SELECT_MAP))
        if len(rows) != SLICES:
            raise ShardError(
                "the directory of the slices is not complete: if `offerlog restore` was interrupted, run the"
                " same command again; if not, restore a backup"
            )
        return ShardMap([shard for shard, *_ in rows], [epoch for _, epoch, _ in rows], frozenset(rows[0][2]))

    def addresses(self) -> Mapping[int, str]:
        """Return the addresses of all shards but the home, by number."""
        return dict(ask_again(lambda: self._select(_SELECT_ADDRESSES)))

    def moves(self) -> Sequence[MoveProgress]:
        """Return the moves of slices that are under way, or were interrupted last, by slice."""
        return [MoveProgress(*row) for row in ask_again(lambda: self._select(_SELECT_MOVES))]

    def _select(self, statement: LiteralString) -> list[tuple[Any, ...]]:
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            return cursor.execute(statement, prepare=True).fetchall()
