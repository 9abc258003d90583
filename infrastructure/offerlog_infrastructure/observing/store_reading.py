"""The reading of one store for a look at it: read-only, no upgrade, and a limit on every wait."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row, tuple_row

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_figures import StoreFigures
from offerlog_application.webhooks.lags import LagInLog
from offerlog_domain.context import Rules
from offerlog_infrastructure.embedded.errors import EmbeddedError
from offerlog_infrastructure.embedded.folder import default_data_dir
from offerlog_infrastructure.embedded.visiting import OlderStoreError, visited
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.connections import (
    StoreConnection,
    connection_arguments,
    open_connection,
)
from offerlog_infrastructure.postgres.errors import server_reached
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.migrations import migrations
from offerlog_infrastructure.postgres.status.store_figures import read_store_figures
from offerlog_infrastructure.postgres.webhooks.store import measure_lags
from offerlog_infrastructure.server_address import check_address
from offerlog_infrastructure.store_missing import StoreMissingError

_CONNECT_SECONDS: Final = 2
_ANSWER_SECONDS: Final = 3.0
_LOCK_TIMEOUT: Final = "500ms"
_START_SECONDS: Final = 20.0
"""Most seconds for the start of the embedded server, where none runs."""

_SECOND_FORMAT: Final = 12
"""The migration that rewrites the events of offerlog 0.1, in many transactions."""

_LIMIT: LiteralString = "SET default_transaction_read_only TO on; SET statement_timeout TO '2s'"
_FIND_TABLE: LiteralString = "SELECT to_regclass(%s) IS NOT NULL"
_SELECT_MIGRATIONS: LiteralString = "SELECT number FROM migrations"
_SELECT_SHARD: LiteralString = "SELECT number, installation FROM shard"
_SELECT_OWNED: LiteralString = "SELECT slice FROM slices WHERE is_owned"
_SELECT_DIRECTORY: LiteralString = "SELECT slice, shard FROM directory"
_SELECT_ADDRESSES: LiteralString = "SELECT number, url FROM shards ORDER BY number"


@dataclass(frozen=True, slots=True)
class WatchedStore:
    """The store to look at.

    Attributes:
        name: Its place, for people, without a password.
        data: The embedded store's folder; None for the usual one. Not used with a `database_url`.
        database_url: A server to use instead.
        schema: The schema of the store.
        keyring: The file with its keys; None for the usual one.
    """

    name: str
    data: Path | None
    database_url: str | None
    schema: str
    keyring: Path | None

    @property
    def folder(self) -> Path:
        """The folder of the embedded store."""
        return (self.data or default_data_dir()).expanduser().absolute()


class ReadShard(NamedTuple):
    """A store as one of several servers.

    Attributes:
        number: Its number; 0 for the home.
        installation: The same in all servers of an installation.
        owned: The slices that it owns.
        directory: The number of the server by slice; empty but for the home.
        addresses: The addresses of all servers but the home, by number, without a password; likewise.
        password: The password of its address, which the others have, too; empty for none.
    """

    number: int
    installation: UUID
    owned: frozenset[int]
    directory: Mapping[int, int]
    addresses: Mapping[int, str]
    password: str = ""


class ReadStore(NamedTuple):
    """The result of reading a store.

    Attributes:
        migration: The newest migration of the store; None if it could not be read.
        figures: Its figures; None if they could not be read, or its tables have another version.
        trouble: The reason why it could not be read; None if it was.
        advice: Advice on that trouble.
        shard: The store as one of several; None for the only one, or if that could not be read.
        lags: The lags in its log behind the positions that were asked for; None if they could not be read.
    """

    migration: int | None = None
    figures: StoreFigures | None = None
    trouble: str | None = None
    advice: str | None = None
    shard: ReadShard | None = None
    lags: Sequence[LagInLog] | None = None


def read_store(
    store: WatchedStore,
    rules: Rules,
    now: datetime,
    note_answer: Callable[[], None] = lambda: None,
    positions: Sequence[int] = (),
) -> ReadStore:
    """Read a store; an error of it is a part of what is seen.

    Args:
        store: The store.
        rules: The periods of the service.
        now: The time.
        note_answer: Called once the store has answered the first time.
        positions: Positions of webhooks in its log, whose lags are wanted.

    Raises:
        ServerAddressError: The address cannot be read.
    """
    try:
        with _connected(store) as (connection, password):
            read = _read_tables(connection, store.schema, rules, now, note_answer)
            if read.shard is None:
                return read
            lags = _read_lags(connection, positions, now)
            return read._replace(shard=read.shard._replace(password=password), lags=lags)
    except OlderStoreError:
        return ReadStore(migration=0)
    except StoreMissingError as error:
        return ReadStore(trouble=str(error), advice="check --data and the settings (`offerlog config`)")
    except StoreUnavailableError as error:
        return ReadStore(trouble=str(error), advice=error.trouble.advice)
    except EmbeddedError as error:
        advice = "look into server.log in the data folder, and end or continue the process that is named"
        return ReadStore(trouble=str(error), advice=advice)


@contextmanager
def _connected(store: WatchedStore) -> Iterator[tuple[StoreConnection, str]]:
    """Open a connection that reads alone and does not wait for long.

    Yields:
        The connection, and the password of the address; empty for none. libpq's password file may have one.
    """
    with ExitStack() as held:
        dsn = store.database_url
        if dsn is None:
            dsn = held.enter_context(visited(store.folder, _START_SECONDS))
        check_address(dsn)
        arguments = connection_arguments(dsn, store.schema, _LOCK_TIMEOUT)
        arguments["connect_timeout"] = min(
            _CONNECT_SECONDS, int(arguments["connect_timeout"]) or _CONNECT_SECONDS
        )
        held.enter_context(server_reached())
        connection = held.enter_context(open_connection(arguments, 0))
        connection.answer_within = _ANSWER_SECONDS
        connection.execute(_LIMIT)
        yield connection, str(conninfo_to_dict(dsn).get("password") or "")


def _read_tables(
    connection: StoreConnection, schema: str, rules: Rules, now: datetime, note_answer: Callable[[], None]
) -> ReadStore:
    """Read the figures, if the tables are those of this build.

    Raises:
        StoreMissingError: There is no store in the database.
        psycopg.Error: The server cannot answer.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        is_there = _has_table(cursor, f'"{schema}".migrations')
        note_answer()
        if not is_there:
            info = connection.info
            raise StoreMissingError(f"the database {info.dbname!r} of {info.host or 'this machine'}")
        done = {number for (number,) in cursor.execute(_SELECT_MIGRATIONS).fetchall()}
        is_converted = not _has_table(cursor, f'"{schema}".conversion')
    pending = migrations().keys() - done
    if not is_converted:  # an upgrade from 0.1 was interrupted, or is under way
        pending.add(_SECOND_FORMAT)
    if pending:
        return ReadStore(migration=min(min(pending) - 1, max(done, default=0)))
    if max(done) > max(migrations()):
        return ReadStore(migration=max(done))
    return ReadStore(
        migration=max(done),
        figures=read_store_figures(connection, EventMapper(), ArchivedFiles(), now, rules),
        shard=_read_shard(connection),
    )


def _read_lags(connection: StoreConnection, positions: Sequence[int], now: datetime) -> Sequence[LagInLog]:
    if not positions:
        return ()
    with connection.cursor(row_factory=dict_row) as cursor:
        return measure_lags(cursor, positions, EventMapper(), now, ArchivedLag(connection, ArchivedFiles()))


def _read_shard(connection: StoreConnection) -> ReadShard | None:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_SELECT_SHARD).fetchone()
        if row is None:
            return None
        number, installation = row
        return ReadShard(
            number,
            installation,
            owned=frozenset(one for (one,) in cursor.execute(_SELECT_OWNED).fetchall()),
            directory=dict(cursor.execute(_SELECT_DIRECTORY).fetchall()),
            addresses=dict(cursor.execute(_SELECT_ADDRESSES).fetchall()),
        )


def _has_table(cursor: Cursor[Any], name: str) -> bool:
    return cursor.execute(_FIND_TABLE, (name,)).fetchone() == (True,)
