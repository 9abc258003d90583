"""Waits for positions of several logs."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from offerlog_application.ports.positions import LogPosition, shard_of_position, split_position
from offerlog_application.sharding.router import Router


class ShardedWaits:
    """The application's `Waits` over several shards: each shows its own positions; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def wait(self, position: LogPosition, timeout: float) -> None:
        """Wait in the calling thread, for one shard after the other.

        Args:
            position: The position.
            timeout: Seconds without any progress on a shard.

        Raises:
            ProjectionsBehindError: There was no progress for `timeout` seconds.
            StoreUnavailableError: A shard could not be reached for `timeout` seconds.
            ClosedError: The service has been closed.
        """
        for one in split_position(position):
            self._router.get(shard_of_position(one)).waits.wait(one, timeout)

    def submit(self, position: LogPosition, timeout: float) -> Future[None]:
        """Wait as `wait` does, for all shards at once; the future gets the end.

        Raises:
            StoreUnavailableError: A shard could not be opened yet.
            ClosedError: The service has been closed.
        """
        return _join(
            [
                self._router.get(shard_of_position(one)).waits.submit(one, timeout)
                for one in split_position(position)
            ]
        )

    def close(self) -> None:
        """Do nothing: each shard ends its own waits."""


def _join(futures: Sequence[Future[None]]) -> Future[None]:
    """Return a future that is done once all of these are, with the first error, if any."""
    joined: Future[None] = Future()
    lock, left = threading.Lock(), [*futures]

    def note(one: Future[None]) -> None:
        with lock:
            left.remove(one)
            if left:
                return
        if not joined.set_running_or_notify_cancel():
            return
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            joined.set_exception(errors[0])
        else:
            joined.set_result(None)

    for one in futures:
        one.add_done_callback(note)
    return joined
