"""A lease on the shared server: a file lock; the guard stops the server when it is free."""

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
    """The use of the server after a lease is released."""

    IN_USE = "somebody has a lease"
    STOPPING = "nobody has; the server is being stopped, or will be in a moment"
    STOPPED = "there is no server"


class Lease:
    """The right to use the running server; it ends with `release` or with the process.

    A forked process shares the lease and keeps it until it ends or calls `release` too.
    """

    def __init__(self, folder: DataFolder, lock: int) -> None:
        self._folder = folder
        self._lock: int | None = lock

    @classmethod
    def take(cls, folder: DataFolder, timeout: float = STOP_TIMEOUT) -> Lease:
        """Take a lease; wait while a guard is stopping its server, at most `timeout` seconds.

        Raises:
            LockTimeoutError: The server has been stopping for too long.
            FolderUnusableError: This process may not write to the data folder.
        """
        return cls(folder, locks.take(folder.lease, shared=True, timeout=timeout))

    def drop(self) -> None:
        """Release the lease without waiting for the server to stop."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def release(self) -> None:
        """Release the lease; if it was the last, wait for the server to stop, for a limited time."""
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
            self.drop()  # the folder is gone or locked: closing must not fail for that


def _usage(folder: DataFolder) -> Usage:
    """Return whether others use the server. Needs the leave lock, else two callers would see each other."""
    if locks.is_free(folder.guard) and locks.is_free(folder.server):
        return Usage.STOPPED
    probe = locks.open_lock(folder.lease)
    try:
        if locks.try_lock(probe):
            return Usage.STOPPING  # the guard is about to take the lease
        # A shared lock is possible beside users, but not while a guard holds it to stop the server.
        return Usage.IN_USE if locks.try_lock(probe, shared=True) else Usage.STOPPING
    finally:
        os.close(probe)
