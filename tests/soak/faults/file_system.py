"""A file system that stands still, or that takes no new file."""

import shutil
import subprocess
from collections.abc import Iterator
from random import Random

from soak.faults import CannotInjectError, fault
from soak.small_disk import mount
from soak.system import System

_SECONDS = 60.0


def _run(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error).encode()
        raise CannotInjectError(f"{words[0]}: {message.decode(errors='replace').strip()}") from error


def _mount_and_freezer(system: System) -> str | None:
    if shutil.which("fsfreeze") is None:
        return "there is no fsfreeze (Debian: the package util-linux)"
    return mount(system)


@fault("file system frozen", seconds=(1.0, 8.0), prepare=_mount_and_freezer, alone=True)
def freeze(system: System, _: Random) -> Iterator[str]:
    """Every write and fsync waits, as beside a snapshot of the storage, and none fails."""
    _run("fsfreeze", "--freeze", str(system.data))
    try:
        yield str(system.data)
    finally:
        _run("fsfreeze", "--unfreeze", str(system.data))


@fault("file system read-only", seconds=(1.0, 8.0), prepare=mount)
def make_read_only(system: System, _: Random) -> Iterator[str]:
    """Whatever is opened for writing from now on is refused; what is open goes on.

    A second mount lies over the first: the kernel remounts none read-only that has files open for writing.
    """
    folder = str(system.data)
    _run("mount", "--bind", folder, folder)
    try:
        _run("mount", "-o", "remount,bind,ro", folder)
        yield folder
    finally:
        # Who has opened something through it keeps it; lazily, so that nobody finds it any more.
        _run("umount", "--lazy", folder)
