"""Real disks that are really full."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A new disk of that size (`120m`), in memory; the test is skipped where none can be mounted."""
    place = Path(tempfile.mkdtemp(prefix="small-disk-", dir="/tmp"))
    place.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, timeout=30, check=False)
        refused = mounted.stderr.strip() if mounted.returncode else ""
    except OSError as error:
        refused = str(error)
    if refused:
        place.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {refused}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], timeout=30, check=True)
        place.rmdir()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """The disk has no room for a single byte."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                while _took(file.fileno(), size):
                    pass
        yield
    finally:
        filler.unlink(missing_ok=True)


def _took(file: int, size: int) -> bool:
    try:
        return os.write(file, bytes(size)) == size
    except OSError:
        return False
