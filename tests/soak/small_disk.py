"""A separate file system for the store, so that a fault can fill or break it and nothing else."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from soak.system import System

BYTES: Final = 6 << 30
"""Its size; it takes no more of the disk below than has been written to it."""
_LEFT_BYTES: Final = 2 << 30
_SECONDS: Final = 60.0


def mount(system: System) -> str | None:
    """Mount an ext4 file system at the store's folder, once; returns why that is not possible, or None.

    It is for a fault's `prepare`. The image lies in the folder of the run; both go when the run ends.
    """
    if os.geteuid() != 0:
        return "only root can mount a file system"
    if system.data.is_mount():
        return None
    if shutil.disk_usage(system.folder).free < BYTES + _LEFT_BYTES:
        return f"{system.folder} has no {BYTES + _LEFT_BYTES >> 30} GiB left"
    image = system.folder / "disk.image"
    with image.open("wb") as file:
        file.truncate(BYTES)
    system.data.mkdir(mode=0o755, exist_ok=True)
    try:
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(system.data))
    except (OSError, subprocess.SubprocessError) as error:
        image.unlink()
        return f"no file system can be mounted here: {error}"
    system.held.callback(_unmount, system.data, image)
    (system.data / "lost+found").rmdir()  # a store is made in an empty folder only
    return None


def _unmount(folder: Path, image: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while folder.is_mount():
        try:
            _run("umount", str(folder))
        except subprocess.CalledProcessError:  # the server writes out what it has, and ends
            if time.monotonic() > deadline:
                _run("umount", "--lazy", str(folder))
            time.sleep(0.5)
    image.unlink()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=_SECONDS)
