"""Free space on a disk, for errors that do not say by themselves that it is full.

A server that cannot write its log ends without a message. LMDB reports a write that was cut short as an
input/output error. This module loads without third-party packages, as the modules of the embedded server do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FULL_BYTES: Final = 64 << 10
"""A disk with less free space than this is full: a store writes several whole pages at once."""

WAL_SEGMENT_BYTES: Final = 16 << 20
"""A segment of PostgreSQL's write-ahead log. Without room for one, the server ends and cannot start."""


def has_less_than(size: int, folder: Path) -> bool:
    """Return whether the disk of a folder has less than `size` bytes free; False where that is unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < size


def has_no_free_files(folder: Path) -> bool:
    """Return whether the disk of a folder can hold no more files; False where that is unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return bool(disk.f_files) and not disk.f_favail


def full_disk_hint(folder: Path) -> str:
    """Return words about a full disk to append to an error; empty if the disk is not full."""
    is_full = has_less_than(FULL_BYTES, folder) or has_no_free_files(folder)
    return f"; the disk of {folder} is full: make room there" if is_full else ""
