"""A data folder that is filled aside and becomes a store in one step, or not at all.

The staged folder lies in the data folder, under a name that the next start removes. A data folder may be a
mount, which cannot be renamed. Whoever opens the data folder meanwhile waits.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import locks, roles
from offerlog_infrastructure.embedded.errors import StoreExistsError
from offerlog_infrastructure.embedded.folder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STAGED = "restored.new-"
_START_SECONDS = 10.0
_STOP_SECONDS = 60.0
"""A server whose last user was killed is stopping for so long at most."""


def is_in_use(path: Path) -> bool:
    """Return True if a folder holds a store or other files; what a killed restore leaves does not count."""
    if not path.is_dir():
        return path.exists()
    left = ("password", "socket", "server.log*", "*.lock", f"{_STAGED}*")
    return not all(any(fnmatchcase(one.name, name) for name in left) for one in path.iterdir())


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Fill a data folder during a block.

    Args:
        path: The data folder, which has no store. It is made if it is missing.

    Yields:
        The staged folder: a data folder for `EmbeddedServer.acquire`, which must be closed before the block
        ends. If the block ends without an error, its database becomes that of the data folder.

    Raises:
        StoreExistsError: There is a store.
        LockTimeoutError: Another process is making a store there.
        EmbeddedError: The folder cannot be used, or holds other files.
    """
    folder = DataFolder.prepare(path)
    if folder.database.exists():
        raise StoreExistsError(folder.path)
    with locks.held(folder.start, timeout=_START_SECONDS):
        if folder.database.exists():
            raise StoreExistsError(folder.path)
        for leftover in folder.path.glob(f"{_STAGED}*"):
            _remove(leftover)
        staged = DataFolder(folder.path / f"{_STAGED}{os.getpid()}")
        try:
            yield staged.path
            _publish(staged, folder)
        finally:
            _remove(staged.path)


def _publish(staged: DataFolder, folder: DataFolder) -> None:
    """Move a database to its place. The folder is a store from the second renaming on, at no time half."""
    with locks.held(staged.server, timeout=_STOP_SECONDS):
        staged.password.rename(folder.password)
        roles.sync(folder.path)
        staged.database.rename(folder.database)
        roles.sync(folder.path)


def _remove(staged: Path) -> None:
    if staged.exists():
        left = DataFolder(staged)  # its server may be stopping
        with (
            locks.held(left.guard, timeout=_STOP_SECONDS),
            locks.held(left.server, timeout=_STOP_SECONDS),
        ):
            shutil.rmtree(staged)
