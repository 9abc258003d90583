"""From an error of PostgreSQL or its driver to the reason why the store cannot do its work.

This is the only place that knows. An SQLSTATE decides where there is one. An attempt to connect that the
server turns down brings none to the driver, only the server's words: those are looked into.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import psycopg
from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError, PersistenceError
from eventsourcing.postgres import PostgresDatastore
from psycopg_pool import PoolClosed, PoolTimeout

from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.postgres.table_locks import find_lock

_Answer = TypeVar("_Answer")

_BY_STATE: Final[Mapping[str, StoreTrouble]] = {
    "53100": StoreTrouble.DISK_FULL,
    "58030": StoreTrouble.STORAGE_FAILED,  # an I/O error
    "58P01": StoreTrouble.STORAGE_FAILED,  # a file of the database is gone
    "XX001": StoreTrouble.STORAGE_FAILED,  # a checksum is wrong
    "XX002": StoreTrouble.STORAGE_FAILED,
    "55P03": StoreTrouble.LOCKED,
    "53300": StoreTrouble.TOO_MANY_CONNECTIONS,
    "25006": StoreTrouble.READ_ONLY,
    "57P01": StoreTrouble.RESTARTING,
    "57P02": StoreTrouble.RESTARTING,
    "57P03": StoreTrouble.RESTARTING,
    "57P05": StoreTrouble.RESTARTING,  # idle for longer than a session may be
    "25P03": StoreTrouble.RESTARTING,  # the same, in a transaction
}
_BY_WORDS: Final[Mapping[str, StoreTrouble]] = {
    "No space left on device": StoreTrouble.DISK_FULL,
    "Disk quota exceeded": StoreTrouble.DISK_FULL,
    "Read-only file system": StoreTrouble.STORAGE_FAILED,
    "Input/output error": StoreTrouble.STORAGE_FAILED,
    "too many clients already": StoreTrouble.TOO_MANY_CONNECTIONS,
    "remaining connection slots": StoreTrouble.TOO_MANY_CONNECTIONS,
    "too many connections for": StoreTrouble.TOO_MANY_CONNECTIONS,
    "session is read-only": StoreTrouble.READ_ONLY,
    "server is in hot standby mode": StoreTrouble.READ_ONLY,
    "the database system is": StoreTrouble.RESTARTING,
}
"""Words of a server that speaks English; where it speaks another language, it counts as out of reach."""

_FILE_STATES: Final = frozenset({"42501", "XX000", None})
"""States under which PostgreSQL reports errors of the system that have no state of their own."""


_STORE_CLASSES: Final = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
"""Errors of the library and the driver that are about the store, and not about a statement."""

LOCK_SECONDS: Final = 5.0
"""Seconds for which a reader waits for a table: longer than a rebuild ever takes to switch tables."""

_ASK_SECONDS: Final = 1.0
"""Time limit for a connection on which to ask who locks a table."""


class TableLockedError(OperationalError):
    """A statement has waited for a table in vain.

    Attributes:
        table: The table's name.
    """

    def __init__(self, table: str, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.table = table


@contextmanager
def naming_table(table: str) -> Iterator[None]:
    """Say of a lock that cannot be had which table it is on; PostgreSQL does not.

    Raises:
        TableLockedError: A statement in the block has waited for a lock in vain.
    """
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise TableLockedError(table, error) from error


@contextmanager
def store_reached(datastore: PostgresDatastore) -> Iterator[None]:
    """Turn errors that are the store's trouble into the application's, with the reason, and count them.

    Args:
        datastore: The pool that the block uses; asked who locks a table.

    Raises:
        StoreUnavailableError: The store cannot do its work.
        Closed: The service has been closed.
    """
    try:
        yield
    except (PersistenceError, psycopg.Error) as error:
        raise_trouble(error, datastore)
        raise


def raise_trouble(error: Exception, datastore: PostgresDatastore) -> None:
    """Raise what an error means, counted; return where it is not the store's trouble.

    Raises:
        StoreUnavailableError: The store cannot do its work.
        Closed: The service has been closed.
    """
    if any(isinstance(one, PoolClosed) for one in _chain(error)):
        raise ClosedError from error
    found = trouble_of(error)
    if found is None:
        return
    pool: Any = datastore.pool  # a StorePool, see LogFactory; that module needs this one
    if found in _MAY_HIDE_FULL_DISK and pool.disk.has_no_room_for_wal:
        found = StoreTrouble.DISK_FULL
    pool.troubles.count(found)
    raise _to_unavailable(error, found, datastore) from error


@contextmanager
def server_reached() -> Iterator[None]:
    """As `store_reached`, where there is no pool yet."""
    try:
        yield
    except psycopg.Error as error:
        found = trouble_of(error)
        if found is None:
            raise
        raise StoreUnavailableError(_words_of(error), found) from error


def wait_for_lock(ask: Callable[[], _Answer]) -> _Answer:
    """Ask until no lock is in the way, for as long as readers wait: on connections that wait for a moment.

    Raises:
        StoreUnavailableError: The store cannot do its work.
    """
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return ask()
        except StoreUnavailableError as error:
            if error.trouble is not StoreTrouble.LOCKED or time.monotonic() >= until:
                raise


def ask_again(ask: Callable[[], _Answer]) -> _Answer:
    """Ask as `wait_for_lock` does, and once more where the connection ended: for what may be done twice.

    Raises:
        StoreUnavailableError: The store cannot do its work.
    """
    try:
        return wait_for_lock(ask)
    except StoreUnavailableError as error:
        if error.trouble in _NOT_WORTH_ASKING_AGAIN or any(
            isinstance(one, PoolTimeout) for one in _chain(error)
        ):
            raise
        return wait_for_lock(ask)


_MAY_HIDE_FULL_DISK: Final = frozenset({StoreTrouble.UNREACHABLE, StoreTrouble.RESTARTING})
"""PostgreSQL ends where it cannot extend its write-ahead log, and cannot start again before there is room."""

_NOT_WORTH_ASKING_AGAIN: Final = frozenset(
    {StoreTrouble.LOCKED, StoreTrouble.DISK_FULL, StoreTrouble.READ_ONLY}
)
"""Trouble of which the first answer has taken its time already, or that the next moment does not change."""


def _to_unavailable(
    error: Exception, found: StoreTrouble, datastore: PostgresDatastore
) -> StoreUnavailableError:
    if found is not StoreTrouble.LOCKED:
        return StoreUnavailableError(_words_of(error), found)
    table = next((one.table for one in _chain(error) if isinstance(one, TableLockedError)), None)
    with suppress(PersistenceError, psycopg.Error):  # then the reason has to do without the holder
        with datastore.pool.connection(timeout=_ASK_SECONDS) as connection:
            lock = find_lock(connection, table)
        if lock is not None:
            return StoreUnavailableError(_words_of(error), found, table=lock.table, holder=lock.holder)
    return StoreUnavailableError(_words_of(error), found, table=table)


def _words_of(error: Exception) -> str:
    """The words of the server or the driver, in one line and without details about rows."""
    stated = (
        one.diag.message_primary for one in _chain(error) if isinstance(one, psycopg.Error) and one.sqlstate
    )
    return next(stated, None) or " ".join(str(error).split())


def trouble_of(error: Exception | None) -> StoreTrouble | None:
    """The reason that an error stands for; None where the store works and something else is wrong."""
    if isinstance(error, IntegrityError):  # a version that another writer holds or has taken, for instance
        return None
    drivers = [one for one in _chain(error) if isinstance(one, psycopg.Error)]
    by_state = [found for one in drivers if (found := _BY_STATE.get(one.sqlstate or ""))]
    by_words = [
        trouble
        for one in drivers
        if one.sqlstate in _FILE_STATES
        for words, trouble in _BY_WORDS.items()
        if words in str(one)
    ]
    if by_state or by_words:
        return [*by_state, *by_words][0]
    return _of_class(error, drivers) if isinstance(error, _STORE_CLASSES) else None


def _of_class(error: Exception, drivers: Sequence[psycopg.Error]) -> StoreTrouble:
    """The reason where neither state nor words are known, but the class says that it is the store's."""
    states = [one.sqlstate for one in drivers if one.sqlstate]
    if states and not states[-1].startswith("08"):
        return StoreTrouble.FAILED
    if isinstance([*_chain(error)][-1], PoolTimeout):  # nothing is wrong but that all are lent
        return StoreTrouble.TOO_MANY_CONNECTIONS
    return StoreTrouble.UNREACHABLE


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what brought it about."""
    one = error
    while one is not None:
        yield one
        one = one.__cause__
