"""The shards of an installation in this process: each is opened on a thread, and again until that works.

So neither the start of the service nor a call waits for a shard that cannot be reached.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.shards import HOME, Directory, ShardMap
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.sharding.router import Shard

_AGAIN_SECONDS: Final = 2.0
"""Seconds between two attempts to open a shard."""

_FIRST_SECONDS: Final = 10.0
"""Seconds for which the first use of a new map waits for a shard that was added."""

_CLOSING_SECONDS: Final = 60.0
"""Seconds for which `close` waits for an attempt that is under way."""

_log = logging.getLogger(__name__)


class _Opening:
    """A shard that is being opened, or is open.

    Attributes:
        shard: The shard; None until it is open.
        error: The error of the last attempt; None before the first one has ended.
        is_tried: Set once an attempt has ended.
        thread: Opens it.
    """

    def __init__(self) -> None:
        self.shard: Shard | None = None
        self.error: StoreUnavailableError | None = None
        self.is_tried = threading.Event()
        self.thread: threading.Thread | None = None


class OpenedShards:
    """The application's `OpenShards`; thread-safe.

    Args:
        home: The home, which is open. `close` does not close it.
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

        Waits for the first attempt to open a shard that was added meanwhile.

        Raises:
            StoreUnavailableError: The home cannot be reached.
        """
        found = self._directory.read_map()
        self._open_all({*found.shards} - {HOME} - self._others.keys(), _FIRST_SECONDS)
        with self._lock:
            if sum(found.epochs) >= sum(self._map.epochs):  # else another thread has read a newer one
                self._map = found
        return self._map

    def open_all(self, seconds: float) -> None:
        """Begin to open all shards that have slices; wait some seconds until each was tried."""
        self._open_all({*self._map.shards} - {HOME}, seconds)

    def _open_all(self, numbers: Collection[int], seconds: float) -> None:
        until, openings = time.monotonic() + seconds, [self._find(number) for number in sorted(numbers)]
        for one in openings:
            one.is_tried.wait(max(until - time.monotonic(), 0))

    def get(self, number: int) -> Shard:
        """Return a shard, without waiting for one that cannot be reached.

        Raises:
            StoreUnavailableError: It could not be opened yet.
            ClosedError: The service has been closed.
        """
        if number == HOME:
            return self._home
        opening = self._others.get(number) or self._find(number)
        if opening.shard is not None:
            return opening.shard
        raise opening.error or StoreUnavailableError("it is being opened")

    def keep_deadlines(self) -> None:
        """Start the upkeep of each shard, also of one that is opened later."""
        with self._lock:
            self._keeps_deadlines = True
            opened = [one.shard for one in self._others.values() if one.shard is not None]
        for shard in (self._home, *opened):
            shard.service.keep_deadlines()

    def close(self) -> None:
        """Close all shards but the home: what was submitted to them is written."""
        with self._lock:
            self._closing.set()
            openings = [*self._others.values()]
        for one in openings:
            if one.thread is not None:
                one.thread.join(_CLOSING_SECONDS)
        for one in openings:
            if one.shard is not None:
                one.shard.service.close()

    def _find(self, number: int) -> _Opening:
        """Return a shard, and begin to open it if it is a new one."""
        with self._lock:
            if self._closing.is_set():
                raise ClosedError
            opening = self._others.get(number)
            if opening is None:
                opening = self._others[number] = _Opening()
                opening.thread = threading.Thread(
                    target=self._open, args=(number, opening), name=f"offerlog-shard-{number}", daemon=True
                )
                opening.thread.start()
        return opening

    def _open(self, number: int, opening: _Opening) -> None:
        """Open a shard, and try again until that works."""
        while not self._closing.is_set():
            try:
                shard = self._open_shard(number, self._directory.addresses()[number])
            except Exception as error:  # noqa: BLE001 - whatever it is, the other shards go on
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
                opening.shard, keeps_deadlines = shard, self._keeps_deadlines
            if keeps_deadlines:
                shard.service.keep_deadlines()
            opening.is_tried.set()
            return
