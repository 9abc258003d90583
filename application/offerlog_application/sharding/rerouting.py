"""Work that met a stale map, or a slice on its way: one thread divides it anew, after a pause.

The thread waits for shards that it asks, and so for nobody's signals. It is started at the first need.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from offerlog_application.ports.shards import ShardMap
from offerlog_application.sharding.router import Router
from offerlog_application.sharding.waiting_thread import WaitingThread

_CLOSE_SECONDS: Final = 10.0


class _Waiting(NamedTuple):
    """Work that waits: when it is due, if it has not waited yet, what is done by the map, and otherwise."""

    due: float
    is_new: bool
    divide: Callable[[ShardMap], None]
    fail: Callable[[BaseException], None]


class Rerouting(WaitingThread[_Waiting]):
    """Divides work anew, in one thread; thread-safe.

    Args:
        router: Knows who owns each slice.
    """

    def __init__(self, router: Router) -> None:
        super().__init__("offerlog-rerouting", _CLOSE_SECONDS)
        self._router = router

    def add(
        self, pause: float, divide: Callable[[ShardMap], None], fail: Callable[[BaseException], None]
    ) -> None:
        """Let work wait.

        Args:
            pause: Seconds before it is divided anew; 0 for work that has not waited yet. Only for such is the
                directory asked, too.
            divide: Divides it, by the owners of the slices as they are then. Called in the thread.
            fail: Called instead with an error, in any thread: the owners cannot be read, or this is closed.
        """
        self._put(_Waiting(time.monotonic() + pause, pause == 0, divide, fail))

    def _run(self) -> None:
        while due := self._await_due():
            try:
                is_new = any(one.is_new for one in due)
                shard_map = (
                    self._router.read_owners() if is_new else self._router.ask_owners(self._router.map)
                )
            except Exception as error:  # noqa: BLE001 - the home cannot be reached; the work gets the error
                for one in due:
                    one.fail(error)
                continue
            for one in due:
                try:
                    one.divide(shard_map)
                except Exception as error:  # noqa: BLE001 - belongs to this work; the rest goes on
                    one.fail(error)

    def _await_due(self) -> list[_Waiting]:
        """Wait until some work is due, and return it; nothing once this is closed."""
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                due = [one for one in self._waiting if one.due <= now]
                if due:
                    self._waiting = [one for one in self._waiting if one.due > now]
                    return due
                first = min((one.due for one in self._waiting), default=None)
                self._changed.wait(None if first is None else first - now)
        return []
