"""The processes that hold a store's locks, and whether they are stopped (`kill -STOP`, a debugger).

For messages alone. On systems other than Linux the results are empty.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from offerlog_infrastructure.embedded.postmaster import recorded_pid

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.folder import DataFolder

_STOPPED: Final = frozenset("Tt")
_LOCKS: Final = Path("/proc/locks")


def starter(folder: DataFolder) -> str:
    """Describe the process that is starting the server, as a reason to wait."""
    who = " and ".join(_named("process", pid) for pid in _holders(folder.start)) or "another process"
    return f"{who} is starting it and holds {folder.start}"


def keepers(folder: DataFolder) -> str:
    """Describe the server's processes, to append to a reason; empty if none is known."""
    known = [("its guard", _guard(folder)), ("its PostgreSQL", recorded_pid(folder.database))]
    named = [_named(f"{what}, process", pid) for what, pid in known if pid is not None and _is_there(pid)]
    return f" ({'; '.join(named)})" if named else ""


def stopped_keeper(folder: DataFolder) -> str | None:
    """Describe a process of the server that has been stopped, so that the server cannot answer."""
    known = [("guard", _guard(folder)), ("PostgreSQL", recorded_pid(folder.database))]
    stopped = (
        _named(f"its {what}, process", pid) for what, pid in known if pid is not None and _is_stopped(pid)
    )
    return next(stopped, None)


def _guard(folder: DataFolder) -> int | None:
    try:
        return int(folder.guard.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _named(what: str, pid: int) -> str:
    has_been = f", which has been stopped: `kill -CONT {pid}` lets it go on" if _is_stopped(pid) else ""
    return f"{what} {pid}{has_been}"


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process of another user
        return True
    return True


def _is_stopped(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in _STOPPED


def _holders(lock: Path) -> list[int]:
    """Return the processes that hold a lock file, as far as the system shows them."""
    try:
        number = str(lock.stat().st_ino)
        lines = [line.split() for line in _LOCKS.read_text("ascii").splitlines()]
    except OSError:
        return []
    # such as: 1: FLOCK ADVISORY WRITE 4711 fe:01:131099 0 EOF; for a waiting process, the second word is "->"
    return [
        int(words[4])
        for words in lines
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == number and int(words[4]) > 0
    ]
