"""A look at the disk of a database on this machine: a server that cannot start says nothing of a full one."""

import os
from pathlib import Path
from typing import Final

_LEAST_BYTES: Final = 16 << 20
"""A segment of PostgreSQL's write-ahead log: without room for one the server ends, and does not start."""


class LocalDisk:
    """The disk that holds a folder.

    Args:
        folder: A folder of the database; None where it is on another machine, or nobody knows where.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def is_full(self) -> bool:
        """True if PostgreSQL has too little room on it to go on; False also where that is not known."""
        if self._folder is None:
            return False
        try:
            room = os.statvfs(self._folder)
        except OSError:
            return False
        return room.f_bavail * room.f_frsize < _LEAST_BYTES
