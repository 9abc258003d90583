"""One look at a store and what is around it. It changes nothing, upgrades nothing, and does not wait long."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.sealed_tree import AuditKeyError
from offerlog_application.ports.shards import NotOverShardsError
from offerlog_application.ports.store_figures import StoreFigures
from offerlog_application.status.observation import (
    Observation,
    ObservedDisk,
    ObservedKeyring,
    services_among,
)
from offerlog_domain.context import Rules
from offerlog_infrastructure.embedded.errors import EmbeddedError
from offerlog_infrastructure.embedded.folder import DataFolder, default_data_dir
from offerlog_infrastructure.embedded.visiting import OlderStoreError, visited
from offerlog_infrastructure.evidence.audit_key import USUAL_NAME, read_audit_key
from offerlog_infrastructure.evidence.witness_settings import read_witnesses
from offerlog_infrastructure.keyring.file_keyring import default_keyring
from offerlog_infrastructure.keyring.keyring_file import read_file
from offerlog_infrastructure.observing.machine import observe_disk, read_faults
from offerlog_infrastructure.observing.services import ask_services
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.connections import (
    StoreConnection,
    connection_arguments,
    open_connection,
)
from offerlog_infrastructure.postgres.errors import server_reached
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.migrations import migrations
from offerlog_infrastructure.postgres.status.store_figures import read_store_figures
from offerlog_infrastructure.server_address import check_address
from offerlog_infrastructure.settings import StoreSettings
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
_SELECT_SHARD: LiteralString = "SELECT number FROM shard"
_SELECT_MIGRATIONS: LiteralString = "SELECT number FROM migrations"


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


class _Read(NamedTuple):
    """The result of reading the store."""

    migration: int | None = None
    figures: StoreFigures | None = None
    trouble: str | None = None
    advice: str | None = None


def observe(store: WatchedStore, settings: StoreSettings, now: datetime) -> Observation:
    """Look at a store, its keyring, its services and its machine.

    Args:
        store: The store.
        settings: The settings, for all but its place.
        now: The time.

    Raises:
        ServerAddressError: The address cannot be read.
        NotOverShardsError: The store is one of several.
    """
    folder = None if store.database_url is not None else _folder(store)
    known = max(migrations())
    read = _read(store, settings.rules, now)
    place = (store.keyring or default_keyring()).expanduser().absolute()
    clients = () if read.figures is None else services_among(read.figures.clients)
    return Observation(
        at=now,
        version=version("offerlog"),
        store=store.name,
        is_embedded=folder is not None,
        known_migration=known,
        migration=read.migration,
        figures=read.figures,
        trouble=read.trouble,
        advice=read.advice,
        disk=_observe_disk(folder),
        keyring=_observe_keyring(place),
        services=ask_services(clients),
        server_log=None if folder is None else read_faults(DataFolder(folder).log, now),
        has_audit_key=_has_audit_key(settings.audit_key or place.with_name(USUAL_NAME)),
        checkpoints=None if settings.checkpoints is None else str(settings.checkpoints),
        checkpoint_period=settings.checkpoint_period,
        witnesses=[one.key.name for one in read_witnesses(settings.witnesses or "")],
        rules=settings.rules,
    )


def _folder(store: WatchedStore) -> Path:
    return (store.data or default_data_dir()).expanduser().absolute()


def _observe_disk(folder: Path | None) -> ObservedDisk | None:
    return None if folder is None or not folder.is_dir() else observe_disk(folder)


def _read(store: WatchedStore, rules: Rules, now: datetime) -> _Read:
    """Read the store; an error of it is a part of what is seen."""
    try:
        with _connected(store) as connection:
            return _read_tables(connection, store.schema, rules, now)
    except OlderStoreError:
        return _Read(migration=0)
    except StoreMissingError as error:
        return _Read(trouble=str(error), advice="check --data and the settings (`offerlog config`)")
    except StoreUnavailableError as error:
        return _Read(trouble=str(error), advice=error.trouble.advice)
    except EmbeddedError as error:
        advice = "look into server.log in the data folder, and end or continue the process that is named"
        return _Read(trouble=str(error), advice=advice)


@contextmanager
def _connected(store: WatchedStore) -> Iterator[StoreConnection]:
    """Open a connection that reads alone and does not wait for long."""
    with ExitStack() as held:
        dsn = store.database_url
        if dsn is None:
            dsn = held.enter_context(visited(_folder(store), _START_SECONDS))
        check_address(dsn)
        arguments = connection_arguments(dsn, store.schema, _LOCK_TIMEOUT)
        arguments["connect_timeout"] = min(
            _CONNECT_SECONDS, int(arguments["connect_timeout"]) or _CONNECT_SECONDS
        )
        held.enter_context(server_reached())
        connection = held.enter_context(open_connection(arguments, 0))
        connection.answer_within = _ANSWER_SECONDS
        connection.execute(_LIMIT)
        yield connection


def _read_tables(connection: StoreConnection, schema: str, rules: Rules, now: datetime) -> _Read:
    """Read the figures, if the tables are those of this build.

    Raises:
        StoreMissingError: There is no store in the database.
        NotOverShardsError: The store is one of several.
        psycopg.Error: The server cannot answer.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        if not _has_table(cursor, f'"{schema}".migrations'):
            info = connection.info
            raise StoreMissingError(f"the database {info.dbname!r} of {info.host or 'this machine'}")
        done = {number for (number,) in cursor.execute(_SELECT_MIGRATIONS).fetchall()}
        is_converted = not _has_table(cursor, f'"{schema}".conversion')
    pending = migrations().keys() - done
    if not is_converted:  # an upgrade from 0.1 was interrupted, or is under way
        pending.add(_SECOND_FORMAT)
    if pending:
        return _Read(migration=min(min(pending) - 1, max(done, default=0)))
    if max(done) > max(migrations()):
        return _Read(migration=max(done))
    with connection.cursor(row_factory=tuple_row) as cursor:
        if cursor.execute(_SELECT_SHARD).fetchone() is not None:
            raise NotOverShardsError("to look at the store (see `offerlog shards status`)")
    return _Read(
        migration=max(done),
        figures=read_store_figures(connection, EventMapper(), ArchivedFiles(), now, rules),
    )


def _has_table(cursor: Cursor[Any], name: str) -> bool:
    return cursor.execute(_FIND_TABLE, (name,)).fetchone() == (True,)


def _observe_keyring(place: Path) -> ObservedKeyring:
    try:
        found = read_file(place)
    except KeyringError as error:
        return ObservedKeyring(str(place), None, (), str(error))
    if found is None:
        return ObservedKeyring(str(place), None, (), None)
    return ObservedKeyring(str(place), found.current, list(found.keys), None)


def _has_audit_key(place: Path) -> bool:
    try:
        return read_audit_key(place.expanduser()) is not None
    except AuditKeyError:  # there is one, and its trouble shows as a missing checkpoint
        return True
