"""A database that becomes one of several servers by a restore, and how far that is.

The schema `offerlog_restore` marks it until the end. A dump is loaded in one transaction: a marked database
has all of it, or nothing. Without rows in its table `directory` a home cannot be opened, and a shard cannot
be used without its home. The home gets these rows last of all, in one transaction.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, LiteralString, Self
from uuid import UUID

from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from offerlog_application.ports.shards import HOME, HeldSlices, ShardError, ShardMap
from offerlog_infrastructure.postgres.backup.snapshot import complete_dsn
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import server_reached
from offerlog_infrastructure.postgres.shards.directory import select_held_slices

_MARK: Final = "offerlog_restore"
"""The schema that marks a database."""

_TRY_LOCK: LiteralString = "SELECT pg_try_advisory_lock(7811888)"
"""One restore at a time."""

_SELECT_IS_MARKED: LiteralString = f"SELECT to_regclass('{_MARK}.restore') IS NOT NULL"
_SELECT_MARK: LiteralString = f"SELECT backup, number, installation FROM {_MARK}.restore"
_MAKE_MARK: LiteralString = f"""
    CREATE SCHEMA {_MARK};
    CREATE TABLE {_MARK}.restore (backup uuid NOT NULL, number integer NOT NULL, installation uuid NOT NULL)
"""
_INSERT_MARK: LiteralString = (
    f"INSERT INTO {_MARK}.restore (backup, number, installation) VALUES (%s, %s, %s)"
)
_DROP_MARK: LiteralString = f"DROP SCHEMA IF EXISTS {_MARK} CASCADE"
_HAS_SCHEMA: LiteralString = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)"
_HAS_SHARD: LiteralString = "SELECT to_regclass('shard') IS NOT NULL"
_SELECT_SHARD: LiteralString = "SELECT number, installation FROM shard"
_JOIN: LiteralString = "UPDATE shard SET installation = %s"
_SELECT_POLICIES: LiteralString = "SELECT organization, action_map_id, suppress_for FROM action_map_policies"
_DELETE_POLICIES: LiteralString = "DELETE FROM action_map_policies"
_INSERT_POLICY: LiteralString = """
    INSERT INTO action_map_policies (organization, action_map_id, suppress_for) VALUES (%s, %s, %s)
"""
_INSERT_ADDRESS: LiteralString = "INSERT INTO shards (number, url) VALUES (%s, %s)"
_INSERT_SLICE: LiteralString = "INSERT INTO directory (slice, shard, epoch) VALUES (%s, %s, %s)"

Policies = Sequence[tuple[str, UUID, Any]]
"""Organization, action map and times of each policy in force."""


class RestoreTarget:
    """A database that a server of a backup is restored into. A context manager, for one thread.

    Args:
        dsn: The connection string.
        schema: The schema of the store.
        number: The number of the server.

    Attributes:
        number: As given.
        dsn: Complete connection string, password included: do not log it.
        is_resumed: True if the dump is in it since an interrupted restore, which may have erased visitors.

    Raises:
        StoreUnavailableError: The server cannot be reached.
        ShardError: Another restore into it is running, or this one uses it for another server.
    """

    def __init__(self, dsn: str, schema: str, number: int) -> None:
        self.number = number
        self.is_resumed = False
        self._schema = schema
        with server_reached(), ExitStack() as held:
            self._connection: Connection[Any] = open_unlimited(dsn, schema)
            held.callback(self._connection.close)
            self.dsn = complete_dsn(self._connection)
            self._where = f"the database {self._connection.info.dbname!r} of {self._connection.info.host}"
            if self._select(_TRY_LOCK) != [(True,)]:
                raise ShardError(
                    f"another restore into {self._where} is running, or the database was named twice: give an"
                    " empty database for each server"
                )
            held.pop_all()

    @property
    def database(self) -> str:
        """The name of the database."""
        return str(conninfo_to_dict(self.dsn)["dbname"])

    def find_installation(self) -> UUID | None:
        """Return the id of the installation to be, of a restore that was interrupted; None without one.

        Raises:
            StoreUnavailableError: The server cannot be reached.
        """
        with server_reached():
            if self._select(_SELECT_IS_MARKED) != [(True,)]:
                return None
            marks = self._select(_SELECT_MARK)
        return UUID(str(marks[0][2])) if marks else None

    def begin(self, backup: UUID, installation: UUID) -> UUID:
        """Mark an empty database, or go on with one that was marked for this server of this backup.

        Args:
            backup: The id of the backup.
            installation: The id of the installation that the restored servers will be. A home that was
                marked before has its own.

        Returns:
            The id of the installation.

        Raises:
            ShardError: The database is not empty, or was marked by another restore.
            StoreUnavailableError: The server cannot be reached.
        """
        with server_reached():
            has_schema = self._select(_HAS_SCHEMA, self._schema) == [(True,)]
            if self._select(_SELECT_IS_MARKED) == [(True,)] and (marks := self._select(_SELECT_MARK)):
                ((of_backup, number, marked),) = marks
                is_other = number != HOME and marked != installation
                if (of_backup, number) != (backup, self.number) or is_other:
                    raise ShardError(
                        f"{self._where} has a restore that was interrupted, of shard {number} of the backup"
                        f" {of_backup}: go on with that one, by the same command, or give an empty database"
                    )
                self.is_resumed = has_schema
                return UUID(str(marked))
            if has_schema:
                if self._is_ready(installation):
                    self.is_resumed = True
                    return installation
                raise ShardError(
                    f"{self._where} is not empty, and a restore replaces nothing: it has the schema"
                    f" {self._schema!r}. Give an empty database"
                )
            with self._connection.transaction():
                self._connection.execute(_DROP_MARK)
                self._connection.execute(_MAKE_MARK)
                self._connection.execute(_INSERT_MARK, (backup, self.number, installation))
        return installation

    def _is_ready(self, installation: UUID) -> bool:
        """Return True for a shard of this restore that has lost its mark already: only the home was left."""
        if self._select(_HAS_SHARD) != [(True,)]:
            return False
        return self._select(_SELECT_SHARD) == [(self.number, installation)]

    def join(self, installation: UUID) -> None:
        """Let the loaded store be of the restored installation: it does not fit to the former servers.

        Raises:
            StoreUnavailableError: The server cannot be reached.
        """
        with server_reached():
            self._connection.execute(_JOIN, (installation,))

    def held_slices(self) -> HeldSlices:
        """Return the slices that the store has."""
        with server_reached():
            return select_held_slices(self._connection.cursor(row_factory=tuple_row))

    def policies(self) -> Policies:
        """Return the policies of action maps that are in force."""
        with server_reached():
            return [(one, two, three) for one, two, three in self._select(_SELECT_POLICIES)]

    def put_policies(self, policies: Policies) -> None:
        """Put the policies of the home in force: one may have been set while the snapshots were taken."""
        with server_reached(), self._connection.transaction():
            self._connection.execute(_DELETE_POLICIES)
            for organization, action_map_id, suppress_for in policies:
                self._connection.execute(_INSERT_POLICY, (organization, action_map_id, Jsonb(suppress_for)))

    def finish(self) -> None:
        """Remove the mark of a shard, which is ready.

        Raises:
            StoreUnavailableError: The server cannot be reached.
        """
        with server_reached():
            self._connection.execute(_DROP_MARK)

    def finish_home(self, shard_map: ShardMap, addresses: Mapping[int, str]) -> None:
        """Write the directory of the home and remove its mark: from now on services can open it.

        Raises:
            StoreUnavailableError: The server cannot be reached.
        """
        with server_reached(), self._connection.transaction():
            for number, address in addresses.items():
                self._connection.execute(_INSERT_ADDRESS, (number, address))
            for one, (shard, epoch) in enumerate(zip(shard_map.shards, shard_map.epochs, strict=True)):
                self._connection.execute(_INSERT_SLICE, (one, shard, epoch))
            self._connection.execute(_DROP_MARK)

    def _select(self, statement: LiteralString | sql.Composed, *values: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor(row_factory=tuple_row)
        return cursor.execute(statement, values or None).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
