"""Slices that stay where they are for a while: what goes through all shards must meet each visitor."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import psycopg

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import RebuildRunningError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.rebuild.builder import hold_rebuild_lock
from offerlog_infrastructure.postgres.shards.move_steps import connected

_PATIENCE_SECONDS: Final = 5.0
"""Seconds to wait for another one. The lock of a process that was killed is free within a moment."""

_PAUSE_SECONDS: Final = 0.1


@contextmanager
def keep_slices(store: OfferlogApplication) -> Iterator[Callable[[], None]]:
    """Keep slices from moving to a shard or away from it, by the lock that each mover and rebuild takes.

    Yields:
        A function that raises `StoreUnavailableError` if the lock was lost with its connection.

    Raises:
        StoreUnavailableError: The shard cannot be reached, or another one has the lock.
    """

    def check() -> None:
        with store_reached(store.log.datastore):
            connection.execute("SELECT 1")

    with connected(store) as connection, ExitStack() as held:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                held.enter_context(hold_rebuild_lock(connection))
                break
            except RebuildRunningError as error:
                if time.monotonic() > until:
                    raise StoreUnavailableError(
                        "a slice moves, projections are rebuilt, an organization is deleted, or keys are"
                        " rotated there",
                        StoreTrouble.LOCKED,
                    ) from error
                time.sleep(_PAUSE_SECONDS)
        try:
            yield check
        finally:
            with suppress(psycopg.Error):  # the server is gone, and with it the lock
                held.close()
