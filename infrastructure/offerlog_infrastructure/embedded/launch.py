"""The start of a guard, and the wait for its report."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from offerlog_domain import errors
from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.embedded.cluster import check_version
from offerlog_infrastructure.embedded.errors import ServerNotStartedError
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.socket_folder import make_socket_folder, socket_folder
from offerlog_infrastructure.embedded.staging import executable_bindir

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.folder import DataFolder

READY = b"ready"
SOURCE_ROOTS = (Path(__file__).parents[2], Path(errors.__file__).parents[1])
"""The folders of this package and of the root of its errors; one folder if offerlog is installed."""

# Isolated and without site-packages: it starts in milliseconds, and PYTHON* variables and .pth files do not
# affect a process that outlives its starter.
BOOT = (
    "import sys; sys.path[:0] = sys.argv[1:3]; del sys.argv[1:3]; "
    "from offerlog_infrastructure.embedded.guard import main; main(sys.argv[1:])"
)


def launch_guard(folder: DataFolder, guard_lock: int, bindir: Path | None, deadline: float) -> bool:
    """Start a guard and wait for its report; True if its server takes connections, False if it was killed.

    A guard that ends by itself reports why, so a guard without a report was killed.

    Args:
        folder: The data folder.
        guard_lock: Descriptor of the guard lock, locked. The guard shares it from its start, so a second
            guard can start at no time.
        bindir: The PostgreSQL programs to use; None to search for them.
        deadline: When to give up, by the monotonic clock.

    Raises:
        EmbeddedError: Programs, user, folders or server cannot be used.
    """
    user = ServerUser.of(folder.database)
    user.must_reach(folder.path)
    binaries = find_binaries(bindir)
    check_version(folder.database, binaries.major)
    programs = executable_bindir(binaries, user)
    socket_dir = socket_folder(folder.path, user)
    make_socket_folder(socket_dir, user)
    command: list[str | Path] = [sys.executable, "-I", "-S", "-c", BOOT, *SOURCE_ROOTS]
    command += [str(guard_lock), folder.path, socket_dir, programs, str(binaries.major), str(user.uid)]
    log = folder.open_log()
    try:
        starter = subprocess.Popen(  # noqa: S603 - this Python, a fixed script, paths as arguments
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, pass_fds=(guard_lock,),
            start_new_session=True, cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise ServerNotStartedError(folder.path, f"its guard could not be started: {error}") from error
    finally:
        os.close(log)
    with starter:
        report = _report(starter, deadline)
    if report not in {READY, b""}:
        raise ServerNotStartedError(folder.path, report.decode("utf-8", "replace"))
    return report == READY


def _report(starter: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Read all that the guard writes before it closes the pipe."""
    assert starter.stdout is not None  # noqa: S101 - it was asked for; this tells the type checker
    report = b""
    while True:
        patience = max(0.0, deadline - time.monotonic())
        if not select.select([starter.stdout], [], [], patience)[0]:
            return b"it has not answered in time"
        part = os.read(starter.stdout.fileno(), 65536)
        if not part:
            return report
        report += part
