"""Folders on the disk: the names in them are made durable."""

import os
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, so that a new or renamed file is there after a crash.

    Raises:
        OSError: The folder cannot be opened or flushed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
