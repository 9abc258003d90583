"""Advisory file locks, which the kernel releases when their holder ends in any way.

flock(2) belongs to the *open file*, not to the process. So every `open_lock` is another lock, and a file
passed to a child stays locked while the child lives. Release a lock by closing the file, never by LOCK_UN,
which would also take the lock from a child that shares it.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded.errors import FolderUnusableError, LockTimeoutError
from offerlog_infrastructure.embedded.server_user import ServerUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL_SECONDS = 0.01


def open_lock(path: Path) -> int:
    """Open a lock file, unlocked; make it if it is missing. Closing the descriptor releases its lock.

    Raises:
        FolderUnusableError: The file cannot be made or opened.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except PermissionError as error:
        raise FolderUnusableError(path, f"{error.strerror}{_of_another(path)}") from error
    except OSError as error:
        raise FolderUnusableError(path, error) from error


def _of_another(path: Path) -> str:
    """Name the owner of the file, or of its folder, to append to an error; empty if it is this user."""
    for place in (path, path.parent):
        with suppress(OSError):
            owner = place.stat().st_uid
            return (
                "" if owner == os.geteuid() else f", it belongs to user {ServerUser.numbered(owner).name!r}"
            )
    return ""


def try_lock(lock: int, *, shared: bool = False) -> bool:
    """Lock an open lock file if that is possible at once; return whether it was."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Return whether no process holds this lock exclusively."""
    lock = open_lock(path)
    try:
        return try_lock(lock, shared=True)
    finally:
        os.close(lock)


def take(path: Path, *, shared: bool = False, timeout: float) -> int:
    """Open a lock file and lock it, waiting at most `timeout` seconds.

    Raises:
        LockTimeoutError: Another process still held it after that time.
        FolderUnusableError: The file cannot be made or opened.
    """
    lock = open_lock(path)
    try:
        deadline = time.monotonic() + timeout
        while not try_lock(lock, shared=shared):
            if time.monotonic() > deadline:
                raise LockTimeoutError(path, timeout)  # noqa: TRY301 - the cleanup is for this one too
            time.sleep(POLL_SECONDS)
    except BaseException:
        os.close(lock)
        raise
    return lock


@contextmanager
def held(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold a lock exclusively during a block.

    Raises:
        LockTimeoutError: Another process still held it after `timeout` seconds.
    """
    lock = take(path, timeout=timeout)
    try:
        yield
    finally:
        os.close(lock)
