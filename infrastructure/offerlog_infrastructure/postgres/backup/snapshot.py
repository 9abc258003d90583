"""A snapshot of a store that a dump shares: the dump holds exactly what the snapshot's facts say."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, LiteralString

from psycopg import Connection, Cursor, sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import UndefinedTable
from psycopg.rows import tuple_row

from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.shards import HeldSlices, NotOverShardsError
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import server_reached
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.migrations import migrations
from offerlog_infrastructure.postgres.shards.directory import select_held_slices
from offerlog_infrastructure.store_missing import StoreMissingError

_TRIES: Final = 5
"""A table may be replaced between the list of tables and their locks."""

_BEGIN: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SET_LOCK_TIMEOUT: LiteralString = "SET lock_timeout = '60s'"
_SELECT_TABLES: LiteralString = """
    SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
        AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
    ORDER BY 1
"""
_SELECT_MIGRATION: LiteralString = "SELECT coalesce(max(number), 0) FROM migrations"
_SELECT_IS_SHARD: LiteralString = "SELECT EXISTS (SELECT FROM shard)"
_SELECT_SNAPSHOT: LiteralString = f"""
    SELECT pg_export_snapshot(), now(), current_setting('server_version'),
        coalesce(({SELECT_LAST_POSITION}), 0),
        (SELECT coalesce(max(size), 0) FROM tree_progress),
        (SELECT note FROM checkpoints ORDER BY size DESC, signed_at DESC LIMIT 1),
        (SELECT place FROM archive_place), (SELECT count(*) FROM archived_files)
"""
_SELECT_BYTES: LiteralString = """
    SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class
    WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
"""
_SELECT_KEYS: LiteralString = "SELECT id FROM key_encryption_keys ORDER BY number"
SELECT_TOMBSTONES: LiteralString = (
    "SELECT token, organization, erased_at FROM erased_visitors ORDER BY number"
)


class OtherSchemaError(OfferlogError):
    """The tables of the store are not those of this build, so it cannot be backed up by it."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the tables of the store are at migration {found}, and this offerlog knows {known}: back it up"
            " with the offerlog that uses it, or open it with this one first"
        )


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """A moment of a store, which stays readable while the snapshot is open.

    Attributes:
        dsn: Complete connection string to the server that has the snapshot, password included: do not log it.
        name: PostgreSQL's name of the snapshot, for `pg_dump --snapshot`.
        taken_at: The time, by the server's clock.
        server: The version of PostgreSQL.
        migration: Number of the last migration.
        position: Position of the last event; 0 if there is none.
        tree_size: Number of events in the Merkle tree.
        checkpoint: The largest signed checkpoint in the store; None if there is none.
        key_ids: Ids of the keys of the keyring that the store needs.
        tombstones: The visitors who were erased until then.
        table_bytes: Size of the tables, as an estimate of that of the dump.
        archive: The place of the archive; None without one.
        archived_files: The number of files in it that the store needs.
        held: The slices that the store has.
    """

    dsn: str
    name: str
    taken_at: datetime
    server: str
    migration: int
    position: int
    tree_size: int
    checkpoint: str | None
    key_ids: Sequence[str]
    tombstones: Sequence[Tombstone]
    table_bytes: int
    archive: str | None
    archived_files: int
    held: HeldSlices


@contextmanager
def open_snapshot(dsn: str, schema: str) -> Iterator[StoreSnapshot]:
    """Take a snapshot of a store, and keep it during a block.

    All tables are locked against being replaced or rewritten, before the snapshot is taken: such a change
    would show through it. Whoever reads, writes or vacuums is not disturbed.

    Args:
        dsn: The connection string.
        schema: The schema of the store.

    Raises:
        StoreMissingError: There is no store.
        OtherSchemaError: Another build has made the tables.
        NotOverShardsError: The store is one of several.
        StoreUnavailableError: The store cannot be reached, or a table stayed locked for a minute.
    """
    with prepare_snapshot(dsn, schema) as take:
        yield take()


@contextmanager
def prepare_snapshot(
    dsn: str, schema: str, *, is_of_several: bool = False
) -> Iterator[Callable[[], StoreSnapshot]]:
    """Prepare a snapshot of a store, which is taken later and kept until the end of a block.

    Args:
        dsn: The connection string.
        schema: The schema of the store.
        is_of_several: True for a store that is one of several; False for one that is not.

    Yields:
        A function that takes the snapshot, at once: the tables are locked already. To be called once.

    Raises:
        OfferlogError: See `open_snapshot`.
    """
    with server_reached():
        connection: Connection[Any] = open_unlimited(dsn, schema)
    with closing(connection):
        with server_reached():
            connection.execute(_SET_LOCK_TIMEOUT)
            _check_migration(connection, schema, is_of_several=is_of_several)
            _lock_tables(connection, schema)
        yield partial(_take, connection, schema)


def _check_migration(connection: Connection[Any], schema: str, *, is_of_several: bool) -> None:
    cursor = connection.cursor(row_factory=tuple_row)
    tables = {name for (name,) in cursor.execute(_SELECT_TABLES, (schema,)).fetchall()}
    if "migrations" not in tables:
        info = connection.info
        raise StoreMissingError(f"the database {info.dbname!r} of {info.host or 'this machine'}")
    found, known = _select_one(cursor, _SELECT_MIGRATION)[0], max(migrations())
    if found != known:
        raise OtherSchemaError(found, known)
    if not is_of_several and _select_one(cursor, _SELECT_IS_SHARD)[0]:
        raise NotOverShardsError("to back up one of several servers, which a restore would set apart")


def _lock_tables(connection: Connection[Any], schema: str) -> None:
    """Begin a transaction that holds all tables. It has no snapshot yet: only a query takes one."""
    for left in reversed(range(_TRIES)):
        tables = connection.cursor(row_factory=tuple_row).execute(_SELECT_TABLES, (schema,)).fetchall()
        names = sql.SQL(", ").join(sql.Identifier(schema, name) for (name,) in tables)
        connection.execute(_BEGIN)
        try:
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        except UndefinedTable:
            connection.execute("ROLLBACK")
            if not left:
                raise
        else:
            return


def _take(connection: Connection[Any], schema: str) -> StoreSnapshot:
    with server_reached():
        cursor = connection.cursor(row_factory=tuple_row)
        name, taken_at, server, position, size, note, place, files = _select_one(cursor, _SELECT_SNAPSHOT)
        (table_bytes,) = _select_one(cursor, _SELECT_BYTES, schema)
        return StoreSnapshot(
            dsn=complete_dsn(connection),
            name=name,
            taken_at=taken_at,
            server=server,
            migration=_select_one(cursor, _SELECT_MIGRATION)[0],
            position=position,
            tree_size=size,
            checkpoint=note,
            key_ids=[key for (key,) in cursor.execute(_SELECT_KEYS).fetchall()],
            tombstones=[Tombstone(*row) for row in cursor.execute(SELECT_TOMBSTONES).fetchall()],
            table_bytes=table_bytes,
            archive=place,
            archived_files=files,
            held=select_held_slices(cursor),
        )


def complete_dsn(connection: Connection[Any]) -> str:
    """Return all that the driver has connected with, also from the environment and the password file."""
    info = connection.info
    stated = info.get_parameters() | {"password": info.password, "host": info.host, "port": str(info.port)}
    return make_conninfo("", **{name: value for name, value in stated.items() if value})


def _select_one(cursor: Cursor[Any], statement: LiteralString, *values: object) -> tuple[Any, ...]:
    row = cursor.execute(statement, values or None).fetchone()
    assert row is not None  # noqa: S101 - an aggregate gives a row
    return tuple(row)
