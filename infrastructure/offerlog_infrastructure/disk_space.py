"""Words for a full disk, for errors that do not say so by themselves.

A program that cannot write its log ends without a word; LMDB calls a write that was cut short an input/output
error. Loads without third-party packages, as the embedded server's modules do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_NO_ROOM_BYTES: Final = 65_536
"""A disk with less room than this counts as full: stores write whole pages, and several at once."""


def full_disk_hint(place: Path) -> str:
    """Words for a full disk, to be added to an error; empty if it is not, or if nobody knows.

    Args:
        place: A folder on that disk.
    """
    try:
        disk = os.statvfs(place)
    except OSError:
        return ""
    is_full = disk.f_bavail * disk.f_frsize < _NO_ROOM_BYTES or (disk.f_files and not disk.f_favail)
    return f"; the disk of {place} is full: make room there" if is_full else ""
