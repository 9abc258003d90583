"""Slices that stay where they are for a while: what goes through all shards must meet each visitor."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import Connection

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import RebuildRunningError
from offerlog_application.ports.shards import ShardBusyError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.archive.errors import ArchiveRunningError
from offerlog_infrastructure.postgres.archive.archive_lock import hold_archive_lock
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.rebuild.builder import hold_rebuild_lock
from offerlog_infrastructure.postgres.shards.move_steps import connected

_PATIENCE_SECONDS: Final = 5.0
"""Seconds to wait for another one. The lock of a process that was killed is free within a moment."""

_PAUSE_SECONDS: Final = 0.1


def enter_rebuild_lock(held: ExitStack, connection: Connection[Any], seconds: float) -> None:
    """Take the lock of rebuilds and moves, and wait for another one for some seconds; `held` frees it.

    Raises:
        RebuildRunningError: Another one still has it.
    """
    _enter(held, lambda: hold_rebuild_lock(connection), seconds)


def enter_archive_lock(held: ExitStack, connection: Connection[Any], seconds: float, shard: int) -> None:
    """Take the lock of the archive of a shard likewise.

    Raises:
        ShardBusyError: An archiver still has it.
    """
    try:
        _enter(held, lambda: hold_archive_lock(connection), seconds)
    except ArchiveRunningError as error:
        raise ShardBusyError(f"`offerlog archive` is at work on shard {shard}: wait for its end") from error


def _enter(held: ExitStack, hold: Callable[[], AbstractContextManager[None]], seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            held.enter_context(hold())
        except (RebuildRunningError, ArchiveRunningError):
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


@contextmanager
def keep_slices_of(connection: Connection[Any], seconds: float) -> Iterator[None]:
    """Keep slices from moving to a shard or away from it, by the lock that each mover and rebuild takes.

    Args:
        connection: A connection to the shard, in auto-commit mode. It holds the lock.
        seconds: How long to wait for another holder.

    Raises:
        StoreUnavailableError: Another one has the lock.
    """
    with ExitStack() as held:
        try:
            enter_rebuild_lock(held, connection, seconds)
        except RebuildRunningError as error:
            raise StoreUnavailableError(
                "a slice moves, projections are rebuilt, an organization is deleted, or keys are rotated"
                " there",
                StoreTrouble.LOCKED,
            ) from error
        try:
            yield
        finally:
            with suppress(psycopg.Error):  # the server is gone, and with it the lock
                held.close()


@contextmanager
def keep_slices(store: OfferlogApplication) -> Iterator[Callable[[], None]]:
    """Keep slices from moving to a shard or away from it; see `keep_slices_of`.

    Yields:
        A function that raises `StoreUnavailableError` if the lock was lost with its connection.

    Raises:
        StoreUnavailableError: The shard cannot be reached, or another one has the lock.
    """

    def check() -> None:
        with store_reached(store.log.datastore):
            connection.execute("SELECT 1")

    with connected(store) as connection, keep_slices_of(connection, _PATIENCE_SECONDS):
        yield check
