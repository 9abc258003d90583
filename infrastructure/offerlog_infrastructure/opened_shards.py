"""The shards of an installation in this process: each is opened on a thread, and again until that works.

So neither the start of the service nor a call waits for a shard that cannot be reached.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.shards import HOME, Directory, ShardMap
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.sharding.router import Shard

_AGAIN_SECONDS: Final = 2.0
"""Seconds between two attempts to open a shard."""

_FIRST_SECONDS: Final = 3.0
"""Seconds from the first attempt to open a shard, for which uses of the shard wait for its end."""

_CLOSING_SECONDS: Final = 10.0
"""Seconds for which `close` waits for the shards in all. One that answers needs a fraction of it."""

_log = logging.getLogger(__name__)


class _Opening:
    """A shard that is being opened, or is open.

    Attributes:
        shard: The shard; None until it is open.
        error: The error of the last attempt; None before the first one has ended.
        is_tried: Set once an attempt has ended.
    """

    def __init__(self) -> None:
        self.shard: Shard | None = None
        self.error: StoreUnavailableError | None = None
        self.is_tried = threading.Event()
        self._since = time.monotonic()

    def await_first_attempt(self) -> None:
        """Wait until an attempt has ended, at most until some seconds after the first one has begun."""
        if not self.is_tried.is_set():
            self.is_tried.wait(max(self._since + _FIRST_SECONDS - time.monotonic(), 0))


class OpenedShards:
    """The application's `OpenShards`; thread-safe.

    Args:
        home: The home, which is open. `close` closes its service.
        directory: The directory on the home.
        open_shard: Opens another shard, by number and address.

    Raises:
        StoreUnavailableError: The home cannot be reached.
    """

    def __init__(self, home: Shard, directory: Directory, open_shard: Callable[[int, str], Shard]) -> None:
        self._home = home
        self._directory = directory
        self._open_shard = open_shard
        self._lock = threading.Lock()
        self._others: dict[int, _Opening] = {}
        self._keeps_deadlines = False
        self._closing = threading.Event()
        self._map = directory.read_map()

    @property
    def map(self) -> ShardMap:
        """The shard of each slice, as it was read last."""
        return self._map

    def read_map(self) -> ShardMap:
        """Read the shard of each slice from the directory, and remember it.

        Begins to open shards that were added meanwhile, and waits for the first attempt.

        Raises:
            StoreUnavailableError: The home cannot be reached.
        """
        found = self._directory.read_map()
        self.await_first_attempts(found)
        with self._lock:
            if sum(found.epochs) >= sum(self._map.epochs):  # else another thread has read a newer one
                self._map = found
        return self._map

    def begin(self) -> None:
        """Begin to open all shards that have slices."""
        for number in {*self._map.shards} - {HOME}:
            self._find(number)

    def await_first_attempts(self, shard_map: ShardMap | None = None) -> None:
        """Wait for the first attempts to open the shards of a map; of that which was read last unless given.

        For each at most for some seconds. An event loop, which must not wait, uses the shards afterwards.
        """
        found = self._map if shard_map is None else shard_map
        openings = [self._find(number) for number in sorted({*found.shards} - {HOME})]
        for one in openings:
            one.await_first_attempt()

    def get(self, number: int) -> Shard:
        """Return a shard. Waits for one that is being opened for the first time, for some seconds.

        Raises:
            StoreUnavailableError: It could not be opened yet.
            ClosedError: The service has been closed.
        """
        if number == HOME:
            return self._home
        opening = self._others.get(number) or self._find(number)
        if opening.shard is None:
            opening.await_first_attempt()
        if opening.shard is not None:
            return opening.shard
        raise opening.error or StoreUnavailableError(f"it has not answered for {_FIRST_SECONDS:.0f} seconds")

    def keep_deadlines(self) -> None:
        """Start the upkeep of each shard, also of one that is opened later."""
        with self._lock:
            self._keeps_deadlines = True
            opened = [one.shard for one in self._others.values() if one.shard is not None]
        for shard in (self._home, *opened):
            shard.service.keep_deadlines()

    def close(self) -> None:
        """Close all shards at once, the home too: what was submitted to them is written.

        A server that does not answer is given up after ten seconds. What was acknowledged is in its log;
        what was not was answered with an error, or not at all.
        """
        with self._lock:
            self._closing.set()
            shards = [self._home, *(one.shard for one in self._others.values() if one.shard is not None)]
        until = time.monotonic() + _CLOSING_SECONDS
        closing = [(shard.number, self._begin_to_close(shard)) for shard in shards]
        for number, thread in closing:
            thread.join(max(until - time.monotonic(), 0))
            if thread.is_alive():
                _log.warning("shard %d does not answer, and is left as it is", number)

    def _begin_to_close(self, shard: Shard) -> threading.Thread:
        def close() -> None:
            try:
                shard.service.close()
            except Exception:  # noqa: BLE001 - nobody waits for this thread's result; the others are closed
                _log.exception("shard %d could not be closed", shard.number)

        thread = threading.Thread(target=close, name=f"offerlog-closing-{shard.number}", daemon=True)
        thread.start()
        return thread

    def _find(self, number: int) -> _Opening:
        """Return a shard, and begin to open it if it is a new one."""
        with self._lock:
            if self._closing.is_set():
                raise ClosedError
            opening = self._others.get(number)
            if opening is None:
                opening = self._others[number] = _Opening()
                threading.Thread(
                    target=self._open, args=(number, opening), name=f"offerlog-shard-{number}", daemon=True
                ).start()
        return opening

    def _open(self, number: int, opening: _Opening) -> None:
        """Open a shard, and try again until that works."""
        while not self._closing.is_set():
            try:
                shard = self._open_shard(number, self._directory.addresses()[number])
            except Exception as error:  # noqa: BLE001 - whatever it is, the other shards go on
                if self._closing.is_set():  # the home has been closed meanwhile
                    return
                if opening.error is None or str(error) not in str(opening.error):
                    _log.warning("shard %d cannot be opened, and will be tried again: %s", number, error)
                opening.error = (
                    error
                    if isinstance(error, StoreUnavailableError)
                    else StoreUnavailableError(str(error), StoreTrouble.FAILED)
                )
                opening.is_tried.set()
                self._closing.wait(_AGAIN_SECONDS)
                continue
            with self._lock:
                if not (is_late := self._closing.is_set()):
                    opening.shard, keeps_deadlines = shard, self._keeps_deadlines
            if is_late:  # `close` does not know of it
                shard.service.close()
                return
            if keeps_deadlines:
                shard.service.keep_deadlines()
            opening.is_tried.set()
            return
