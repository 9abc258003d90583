"""The epoch of a log in memory, and its fence."""

import threading

from offerlog_application.ports.write_fence import FENCE_SECONDS
from offerlog_domain.stream_ids import ALL_SLICES


class MemoryEpoch:
    """The epoch under which decisions are made; thread-safe.

    Attributes:
        lock: Guards the log.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._epoch = 1

    def epoch(self) -> int:
        """Return the epoch."""
        with self.lock:
            return self._epoch

    def owned_slices(self, *, anew: bool = False) -> frozenset[int]:
        """Return all slices: no other store has any."""
        del anew
        return ALL_SLICES

    def fence(self, seconds: float = FENCE_SECONDS) -> int:
        """Raise the epoch, and return it: an append is over at once, so there is none to wait for."""
        del seconds
        with self.lock:
            self._epoch += 1
            return self._epoch

    def finish(self, seconds: float = FENCE_SECONDS) -> int:
        """Return the epoch: there is no writer to wait for."""
        del seconds
        return self.epoch()
