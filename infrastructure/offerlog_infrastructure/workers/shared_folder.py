"""The folder through which the processes of one service share limits, sessions and metrics."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

_PREFIX: Final = "offerlog-w-"
_LONGEST_PARENT: Final = 75
"""Most characters of the parent folder: the path of a socket has at most 104 on some systems."""


class SharedFolder:
    """A private temporary folder. Its maker holds a lock on it, so that a folder that was left is known.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls) -> Self:
        """Make the folder, and remove those that were left by services that were killed.

        Raises:
            OSError: It cannot be made.
        """
        parent = Path(tempfile.gettempdir())
        if len(str(parent)) > _LONGEST_PARENT:
            parent = Path("/tmp")  # noqa: S108 - the folder in it is private, and made with a random name
        for left in parent.glob(f"{_PREFIX}*"):
            _remove_if_left(left)
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return cls(path, lock)
            os.close(lock)  # another service that starts took it for one that was left, before it was locked

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # the child of a fork may have closed it
            os.close(self._lock)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of this user that no process has locked."""
    with suppress(OSError):
        if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
            return
        found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(found)
