"""A lease on the shared server: a file lock that the guard waits to find free."""

from __future__ import annotations

import os
import time
from enum import Enum
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import locks
from offerlog_infrastructure.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.folder import DataFolder

# A stopping guard holds the lease until its server has written everything out.
STOP_TIMEOUT = 75.0
LEAVE_TIMEOUT = 10.0


class Usage(Enum):
    """What becomes of the server."""

    IN_USE = "somebody has a lease"
    STOPPING = "nobody has; the server is being stopped, or will be in a moment"
    STOPPED = "there is no server"


class Lease:
    """The right to find the server running; ends with `release` or with the process, whichever is first.

    A process forked from this one shares the lease and keeps it for as long as it lives or until it calls
    `release` too.
    """

    def __init__(self, folder: DataFolder, lock: int) -> None:
        self._folder = folder
        self._lock: int | None = lock

    @classmethod
    def take(cls, folder: DataFolder) -> Lease:
        """Take a lease; waits while a guard is stopping its server.

        Raises:
            LockTimeoutError: It has been stopping for too long.
            FolderUnusableError: The data folder is not ours to write to.
        """
        return cls(folder, locks.take(folder.lease, shared=True, timeout=STOP_TIMEOUT))

    def drop(self) -> None:
        """Give the lease back; whether the server stops is not awaited."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def release(self) -> None:
        """Give the lease back; if it was the last one, wait until the server has stopped, within bounds."""
        if self._lock is None:
            return
        try:
            with locks.held(self._folder.leave, timeout=LEAVE_TIMEOUT):
                self.drop()
                usage = _usage(self._folder)
            deadline = time.monotonic() + STOP_TIMEOUT
            while usage is Usage.STOPPING and time.monotonic() < deadline:
                time.sleep(locks.POLL_SECONDS / 2)
                with locks.held(self._folder.leave, timeout=LEAVE_TIMEOUT):
                    usage = _usage(self._folder)
        except EmbeddedError:
            self.drop()  # the folder is gone, or somebody is in the way: no reason to fail on the way out


def _usage(folder: DataFolder) -> Usage:
    """What becomes of the server now; only under the leave lock, or two who ask would see each other."""
    if locks.is_free(folder.guard) and locks.is_free(folder.server):
        return Usage.STOPPED
    probe = locks.open_lock(folder.lease)
    try:
        if locks.try_lock(probe):
            return Usage.STOPPING  # the guard is about to get it
        # Shared is possible beside users, not beside a guard that has it and is stopping the server.
        return Usage.IN_USE if locks.try_lock(probe, shared=True) else Usage.STOPPING
    finally:
        os.close(probe)
