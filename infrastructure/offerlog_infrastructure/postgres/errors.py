"""The reason why the store cannot do its work, found from an error of PostgreSQL or its driver.

No other module decides this. The SQLSTATE decides if there is one. If the server refuses a connection, the
driver gets no SQLSTATE, only the server's words, so those are searched.
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
"""Words of a server that speaks English. In another language, the server counts as unreachable."""

_FILE_STATES: Final = frozenset({"42501", "XX000", None})
"""SQLSTATEs under which PostgreSQL reports errors of the operating system that have no SQLSTATE."""


_STORE_CLASSES: Final = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
"""Classes of errors that concern the store, not a single statement."""

LOCK_SECONDS: Final = 5.0
"""Seconds for which a reader waits for a table: longer than a rebuild ever takes to swap tables."""

_ASK_SECONDS: Final = 1.0
"""Time limit for the connection that asks who locks a table."""


class TableLockedError(OperationalError):
    """A statement has waited in vain for the lock of a table; PostgreSQL does not name it.

    Attributes:
        table: The table's name.
    """

    def __init__(self, table: str, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.table = table


@contextmanager
def store_reached(datastore: PostgresDatastore) -> Iterator[None]:
    """Turn errors of the store into the application's, with the reason, and count them.

    Args:
        datastore: The pool that the block uses; it also asks who locks a table.

    Raises:
        StoreUnavailableError: The store cannot do its work.
        ClosedError: The service has been closed.
    """
    try:
        yield
    except (PersistenceError, psycopg.Error) as error:
        raise_trouble(error, datastore)
        raise


def raise_trouble(error: Exception, datastore: PostgresDatastore) -> None:
    """Raise the application's error for one of the store, and count it; return if it is not of the store.

    Raises:
        StoreUnavailableError: The store cannot do its work.
        ClosedError: The service has been closed.
    """
    if any(isinstance(one, PoolClosed) for one in _chain(error)):
        raise ClosedError from error
    found = trouble_of(error)
    if found is None:
        return
    pool: Any = datastore.pool  # a StorePool, see LogFactory; importing it here would be a circle
    if found in _MAY_HIDE_FULL_DISK and pool.disk.has_no_room_for_wal:
        found = StoreTrouble.DISK_FULL
    pool.troubles.count(found)
    raise _to_unavailable(error, found, datastore) from error


@contextmanager
def server_reached() -> Iterator[None]:
    """Do as `store_reached` before there is a pool."""
    try:
        yield
    except psycopg.Error as error:
        found = trouble_of(error)
        if found is None:
            raise
        raise StoreUnavailableError(_words_of(error), found) from error


def wait_for_lock(ask: Callable[[], _Answer]) -> _Answer:
    """Repeat a call while a lock is in the way, for at most `LOCK_SECONDS`; its connection waits briefly.

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
    """Call as `wait_for_lock` does, and once more if the connection has ended; the call must be repeatable.

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
"""A full disk looks like these: PostgreSQL ends if it cannot extend its write-ahead log, and cannot start."""

_NOT_WORTH_ASKING_AGAIN: Final = frozenset(
    {StoreTrouble.LOCKED, StoreTrouble.DISK_FULL, StoreTrouble.READ_ONLY}
)
"""Troubles that have been waited for already, or that will not pass within moments."""


def _to_unavailable(
    error: Exception, found: StoreTrouble, datastore: PostgresDatastore
) -> StoreUnavailableError:
    if found is not StoreTrouble.LOCKED:
        return StoreUnavailableError(_words_of(error), found)
    table = next((one.table for one in _chain(error) if isinstance(one, TableLockedError)), None)
    with suppress(PersistenceError, psycopg.Error):  # the error then names no holder
        with datastore.pool.connection(timeout=_ASK_SECONDS) as connection:
            lock = find_lock(connection, table)
        if lock is not None:
            return StoreUnavailableError(_words_of(error), found, table=lock.table, holder=lock.holder)
    return StoreUnavailableError(_words_of(error), found, table=table)


def _words_of(error: Exception) -> str:
    """Return the words of the server or the driver, in one line, without details about rows."""
    stated = (
        one.diag.message_primary for one in _chain(error) if isinstance(one, psycopg.Error) and one.sqlstate
    )
    return next(stated, None) or " ".join(str(error).split())


def trouble_of(error: Exception | None) -> StoreTrouble | None:
    """Return the reason why the store cannot do its work; None if the error has another cause."""
    if isinstance(error, IntegrityError):  # for instance a version that another writer has
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
    """Return the reason for an error of the store whose state and words are unknown."""
    states = [one.sqlstate for one in drivers if one.sqlstate]
    if states and not states[-1].startswith("08"):
        return StoreTrouble.FAILED
    if isinstance([*_chain(error)][-1], PoolTimeout):  # all connections are in use
        return StoreTrouble.TOO_MANY_CONNECTIONS
    return StoreTrouble.UNREACHABLE


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    one = error
    while one is not None:
        yield one
        one = one.__cause__
