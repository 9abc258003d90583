"""The guard: a process that owns the server and stops it when nobody uses it any more.

`launch.launch_guard` starts it with the guard lock, which the guard keeps until it ends. It has no terminal
and survives the process that started it. It ends when the lease becomes free (nobody uses the server), or
when the server ends and cannot be restarted. If the guard is killed, the server is stopped as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from offerlog_infrastructure.embedded import locks
from offerlog_infrastructure.embedded.cluster import Cluster
from offerlog_infrastructure.embedded.errors import EmbeddedError, ServerNotStartedError
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.launch import READY
from offerlog_infrastructure.embedded.postmaster import Postmaster
from offerlog_infrastructure.embedded.server_user import ServerUser

# A server that ended sooner than this would end again.
WORTH_RESTARTING_SECONDS = 5.0


class Guard:
    """The guard of one server, which runs as long as any process has a lease.

    Attributes:
        cluster: The database to serve.
        socket_dir: The folder for the socket; it exists.
    """

    def __init__(self, cluster: Cluster, socket_dir: Path) -> None:
        self.cluster = cluster
        self.socket_dir = socket_dir
        self._lease = locks.open_lock(cluster.folder.lease)
        self._ending = threading.Event()
        self._server: Postmaster | None = None

    def run(self) -> None:
        """Make the database if it is missing, run the server, report to the starter, and wait for the end.

        Raises:
            EmbeddedError: The server did not start.
        """
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        threading.Thread(target=self._end_when_unused, daemon=True).start()
        try:
            while not self._ending.is_set():
                server = self._server = Postmaster.start(self.cluster, self.socket_dir)
                if self._ending.is_set():  # asked to stop before there was a server
                    server.stop()
                server.wait_ready()
                _report(READY)
                server.wait()
                if time.monotonic() - server.started < WORTH_RESTARTING_SECONDS:
                    break
        finally:
            with contextlib.suppress(OSError):
                self.socket_dir.rmdir()

    def _end_when_unused(self) -> None:
        # Held until this process ends: a process that comes meanwhile waits, then starts a server itself.
        fcntl.flock(self._lease, fcntl.LOCK_EX)
        self._end()
        if self._server:
            self._server.insist()

    def _end(self) -> None:
        self._ending.set()
        if self._server:
            self._server.stop()


def main(arguments: list[str]) -> None:
    """Run a guard.

    Args:
        arguments: The guard lock's descriptor, the data folder, the socket folder, the folder of the
            PostgreSQL programs, their major version, the number of the server's user.
    """
    guard_lock, data_dir, socket_dir, bindir, major, uid = arguments
    folder = DataFolder(Path(data_dir))
    try:
        if os.fork():
            os._exit(0)  # the starter waits for this process, so the guard leaves no zombie
    except OSError as error:
        _give_up(error, folder)
    os.umask(0o077)
    for unwanted in (signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN: the server would inherit it, and SIGINT is the signal that stops the server.
        signal.signal(unwanted, lambda *_: None)
    try:
        _write_number(int(guard_lock), folder)
        os.set_inheritable(int(guard_lock), False)
        user = ServerUser.numbered(int(uid))
        cluster = Cluster(folder, Path(bindir), int(major), user)
        Guard(cluster, Path(socket_dir)).run()
    except Exception as error:  # noqa: BLE001 - the starter must get any error
        _give_up(error, folder)


def _write_number(guard_lock: int, folder: DataFolder) -> None:
    """Write the guard's process number into the lock file, for people.

    Raises:
        ServerNotStartedError: The file cannot be written, on a full disk for instance.
    """
    try:
        os.ftruncate(guard_lock, 0)
        os.write(guard_lock, f"{os.getpid()}\n".encode())
    except OSError as error:
        reason = f"its guard cannot write {folder.guard}: {error.strerror}"
        raise ServerNotStartedError(folder.path, reason) from error


def _give_up(error: Exception, folder: DataFolder) -> NoReturn:
    """Report an error to the starter, then to the log, which may not be writable; then end."""
    match error:
        case ServerNotStartedError(reason=reason):
            message = reason
        case EmbeddedError():
            message = str(error)
        case OSError(filename=None, strerror=str(why)):
            message = f"its guard could not go on: {why}{folder.full_disk_hint()}"
        case OSError(filename=name, strerror=str(why)):
            message = f"its guard could not go on: {name}: {why}"
        case _:
            message = f"its guard could not go on: {error!r}"
    _report(message.encode("utf-8", "replace"))
    with contextlib.suppress(OSError):
        sys.stderr.write(f"offerlog guard {os.getpid()}: {message}\n")
        if not isinstance(error, (EmbeddedError, OSError)):
            traceback.print_exception(error)
    os._exit(1)


def _report(message: bytes) -> None:
    """Report the result to the starter, once: write to standard output, a pipe, and close it."""
    with contextlib.suppress(OSError):  # the starter may be gone, but others use the server
        os.write(1, message)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
