"""The machine of a data folder: the size of the store, its disk, and faults in the log of its server."""

import os
import re
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from offerlog_application.status.observation import ObservedDisk

_DAY: Final = timedelta(days=1)
_LOG_BYTES: Final = 1 << 20
"""The end of the log that is searched."""

_FAULT: Final = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\S* .*?((?:FATAL|PANIC):  .*)$")
_HARMLESS: Final = (
    "terminating connection due to administrator command",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
    "connection to client lost",
)
"""Faults that a start or a stop brings."""


def observe_disk(folder: Path) -> ObservedDisk | None:
    """Return the size of the files in a folder and the room on its disk; None if they cannot be read."""
    try:
        disk = os.statvfs(folder)
        size = _size(folder)
    except OSError:
        return None
    return ObservedDisk(size, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)


def _size(folder: Path) -> int:
    """Return the space that the files in a folder take; one that goes meanwhile counts nothing."""
    total = 0
    for where, folders, files in os.walk(folder, onerror=None):
        folders.sort()
        for name in files:
            try:
                found = os.lstat(f"{where}/{name}")
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                total += found.st_blocks * 512
    return total


def read_faults(log: Path, now: datetime) -> list[str] | None:
    """Return the lines about faults in the log of an embedded server, of the last day; None without a log.

    Args:
        log: The log; times in it are in UTC.
        now: The time.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    since = f"{now - _DAY:%Y-%m-%d %H:%M:%S}"
    found = (_FAULT.match(line) for line in lines)
    return [
        f"{one[1]} {one[2].strip()}"
        for one in found
        if one is not None and one[1] >= since and not any(words in one[2] for words in _HARMLESS)
    ]
