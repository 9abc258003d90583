"""Slices that stay where they are for a while: what goes through all shards must meet each visitor."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import RebuildRunningError
from offerlog_application.ports.shards import ShardError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.rebuild.builder import hold_rebuild_lock
from offerlog_infrastructure.postgres.shards.move_steps import connected

_PATIENCE_SECONDS: Final = 5.0
"""Seconds to wait for another one. The lock of a process that was killed is free within a moment."""

_PAUSE_SECONDS: Final = 0.1

_HAS_ARCHIVE: LiteralString = "SELECT EXISTS (SELECT FROM archived_files)"
"""A place alone, which a run that moved nothing has named, does not count."""


def enter_rebuild_lock(held: ExitStack, connection: Connection[Any], seconds: float) -> None:
    """Take the lock of rebuilds and moves, and wait for another one for some seconds; `held` frees it.

    Raises:
        RebuildRunningError: Another one still has it.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            held.enter_context(hold_rebuild_lock(connection))
        except RebuildRunningError:
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


def check_archive(connection: Connection[Any], shard: int) -> None:
    """Check that a shard that is to give a slice away has no archive.

    Raises:
        ShardError: It has one.
    """
    found = connection.cursor(row_factory=tuple_row).execute(_HAS_ARCHIVE).fetchone()
    refuse_archive(shard, is_there=found == (True,))


def refuse_archive(shard: int, *, is_there: bool) -> None:
    """Refuse to take a slice from a shard that has an archive.

    Raises:
        ShardError: It has one.
    """
    if is_there:
        raise ShardError(
            f"shard {shard} has an archive, whose files do not move: its slices stay where they are"
        )
