"""One run of PostgreSQL: clean up after the last run, start, wait for readiness, stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import locks
from offerlog_infrastructure.embedded.cluster import ENVIRONMENT, command_line
from offerlog_infrastructure.embedded.errors import LockTimeoutError, ServerNotStartedError
from offerlog_infrastructure.embedded.parent_death import KERNEL_DOES_IT, DeathWatch, die_with_parent
from offerlog_infrastructure.embedded.socket_folder import SOCKET_NAME

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.cluster import Cluster
    from offerlog_infrastructure.embedded.folder import DataFolder

# A server without its guard is stopping (fast stop), and writes all its memory to the disk first.
LEAVE_TIMEOUT = 60.0
QUIT_TIMEOUT = 10.0
FAST_STOP_TIMEOUT = 60.0

READY_LINE = 7  # of postmaster.pid, counted from 0, as pg_ctl reads it


class Postmaster:
    """A running PostgreSQL, child of this process.

    Attributes:
        started: The time of its start, by the monotonic clock.
    """

    def __init__(self, folder: DataFolder, process: subprocess.Popen[bytes], log_start: int) -> None:
        self._folder = folder
        self._process = process
        self._log_start = log_start
        self._watch = None if KERNEL_DOES_IT else DeathWatch(process.pid)
        self.started = time.monotonic()

    @classmethod
    def start(cls, cluster: Cluster, socket_dir: Path) -> Postmaster:
        """Make the database if there is none, and start the server.

        It inherits the server lock and passes it to all its processes, so the lock is free when the last of
        them has ended. Its output goes to standard error.

        Raises:
            LockTimeoutError: An earlier server does not end.
            ServerNotStartedError: A foreign server uses the database, or it cannot be made.
        """
        folder = cluster.folder
        lock = _server_lock(folder)
        try:
            _clear_leftovers(folder, socket_dir)
            cluster.ensure(lock)
            log_start = os.fstat(sys.stderr.fileno()).st_size
            uid, gid, extra_groups = cluster.user.switch()
            process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program with arguments of ours
                command_line(cluster.bindir, folder.database, socket_dir),
                stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, cwd="/", env=ENVIRONMENT,
                pass_fds=(lock,), user=uid, group=gid, extra_groups=extra_groups,
                preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - one system call, no locks
            )  # fmt: skip
        finally:
            os.close(lock)
        return cls(folder, process, log_start)

    def wait_ready(self) -> None:
        """Wait until the server takes connections; after a crash it recovers first.

        Raises:
            ServerNotStartedError: The server ended instead.
        """
        while not self._is_ready():
            if self._process.poll() is not None:
                self.wait()
                complaints = self._folder.complaints(sys.stderr.fileno(), self._log_start)
                reason = (
                    complaints
                    or f"it ended with code {self._process.returncode}{self._folder.full_disk_hint()}"
                )
                raise ServerNotStartedError(self._folder.path, reason)
            time.sleep(locks.POLL_SECONDS)

    def wait(self) -> None:
        """Wait until the server has ended, for any reason."""
        self._process.wait()
        if self._watch:
            self._watch.dismiss()

    def stop(self) -> None:
        """Ask for a fast stop, which cuts connections and writes all to the disk; do not wait for it."""
        self._process.send_signal(signal.SIGINT)

    def insist(self) -> None:
        """Stop the server: ask for a fast stop, later for an immediate stop, at last kill it."""
        self.stop()
        time.sleep(FAST_STOP_TIMEOUT)
        self._process.send_signal(signal.SIGQUIT)
        time.sleep(QUIT_TIMEOUT)
        self._process.kill()

    def _is_ready(self) -> bool:
        lines = _pid_file(self._folder.database)
        # The file of an earlier server holds another process number.
        ours = len(lines) > READY_LINE and lines[0].strip() == str(self._process.pid)
        return ours and lines[READY_LINE].strip() == "ready"


def _server_lock(folder: DataFolder) -> int:
    try:
        return locks.take(folder.server, timeout=LEAVE_TIMEOUT)
    except LockTimeoutError:
        running = recorded_pid(folder.database)
        if running is None or not _serves(running, folder.database):
            raise
        os.kill(running, signal.SIGQUIT)
    return locks.take(folder.server, timeout=QUIT_TIMEOUT)


def _clear_leftovers(folder: DataFolder, socket_dir: Path) -> None:
    """Remove the pid file and socket of a killed server.

    The caller holds the server lock, so no server of offerlog is alive. PostgreSQL would refuse to start if
    another process of the same user had the recorded process number now.
    """
    recorded = recorded_pid(folder.database)
    if recorded is not None and _serves(recorded, folder.database):
        reason = f"a PostgreSQL that offerlog did not start (process {recorded}) has the database; stop it"
        raise ServerNotStartedError(folder.path, reason)
    (folder.database / "postmaster.pid").unlink(missing_ok=True)
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (socket_dir / name).unlink(missing_ok=True)


def _serves(pid: int, database: Path) -> bool:
    """Return whether a process is a PostgreSQL on this database, as far as the system shows it."""
    if Path("/proc/self/cwd").exists():
        try:
            # A postmaster's working directory is its database.
            return Path(f"/proc/{pid}/cwd").samefile(database)
        except OSError:
            return False
    asked = subprocess.run(  # noqa: S603 - ps with a number
        ["/bin/ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True
    )
    return "postgres" in asked.stdout


def recorded_pid(database: Path) -> int | None:
    """Return the process number in the server's pid file; None if there is no such file."""
    lines = _pid_file(database)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _pid_file(database: Path) -> list[str]:
    try:
        return (database / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
