"""Advisory file locks that the kernel lets go of when their holder dies, however it dies.

flock(2) belongs to the *open file*, not to the process: every `open_lock` is a lock of its own, and a file
passed on to a child keeps the lock for as long as the child lives. Letting go is closing the file, never
LOCK_UN, which would also take the lock away from a child that shares it.
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
    """Open a lock file, unlocked, made if need be; close the descriptor to let go of whatever it locks.

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
    """Whose it is if it is not ours, or its folder's where that cannot be seen, to be added to an error."""
    for place in (path, path.parent):
        with suppress(OSError):
            owner = place.stat().st_uid
            return (
                "" if owner == os.geteuid() else f", it belongs to user {ServerUser.numbered(owner).name!r}"
            )
    return ""


def try_lock(lock: int, *, shared: bool = False) -> bool:
    """Lock an open lock file if that is possible at once."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Whether nobody has this lock exclusively."""
    lock = open_lock(path)
    try:
        return try_lock(lock, shared=True)
    finally:
        os.close(lock)


def take(path: Path, *, shared: bool = False, timeout: float) -> int:
    """Open a lock file and lock it, waiting as long as that takes, at most `timeout` seconds.

    Raises:
        LockTimeoutError: It was still taken after that time.
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
    """Hold a lock exclusively for the length of a block.

    Raises:
        LockTimeoutError: It was still taken after `timeout` seconds.
    """
    lock = take(path, timeout=timeout)
    try:
        yield
    finally:
        os.close(lock)
