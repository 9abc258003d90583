"""The guard: a process of its own that owns the server and stops it when nobody uses it any more.

Started by `launch.launch_guard` with the guard lock in hand, which it keeps until it ends. It has no
terminal and no part in its starter's life. Two things end it: the lease becomes free (nobody uses the
server), or the server ends and cannot be restarted. Its own violent death is the server's too.
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

# A server that dies sooner than this would die again.
WORTH_RESTARTING_SECONDS = 5.0


class Guard:
    """Keeps one server running for as long as anybody has a lease on it.

    Attributes:
        cluster: The database to serve.
        socket_dir: The folder for the socket, made already.
    """

    def __init__(self, cluster: Cluster, socket_dir: Path) -> None:
        self.cluster = cluster
        self.socket_dir = socket_dir
        self._lease = locks.open_lock(cluster.folder.lease)
        self._ending = threading.Event()
        self._server: Postmaster | None = None

    def run(self) -> None:
        """Make the database if need be, run the server, report to the starter, and stay until it is over.

        Raises:
            EmbeddedError: The server did not start.
        """
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        threading.Thread(target=self._end_when_unused, daemon=True).start()
        try:
            while not self._ending.is_set():
                server = self._server = Postmaster.start(self.cluster, self.socket_dir)
                if self._ending.is_set():  # said before there was a server to stop
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
        # Kept until this process ends: whoever comes meanwhile waits, then starts a server of their own.
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
            os._exit(0)  # the starter waits for this one and never has a dead guard to bury
    except OSError as error:
        _give_up(error, folder)
    os.umask(0o077)
    for unwanted in (signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN: the server would inherit that, and SIGINT is how it is stopped.
        signal.signal(unwanted, lambda *_: None)
    try:
        _write_number(int(guard_lock), folder)
        os.set_inheritable(int(guard_lock), False)
        user = ServerUser.numbered(int(uid))
        cluster = Cluster(folder, Path(bindir), int(major), user)
        Guard(cluster, Path(socket_dir)).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the starter must learn of it
        _give_up(error, folder)


def _write_number(guard_lock: int, folder: DataFolder) -> None:
    """Put our process number into the lock file, for people.

    Raises:
        ServerNotStartedError: It cannot be written, on a full disk for instance.
    """
    try:
        os.ftruncate(guard_lock, 0)
        os.write(guard_lock, f"{os.getpid()}\n".encode())
    except OSError as error:
        reason = f"its guard cannot write {folder.guard}: {error.strerror}"
        raise ServerNotStartedError(folder.path, reason) from error


def _give_up(error: Exception, folder: DataFolder) -> NoReturn:
    """Tell the starter, and then the log, which may be what cannot be written; end."""
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
    """Tell the starter how it went, once; stdout is a pipe to it, and its end is our last word."""
    with contextlib.suppress(OSError):  # the starter may be gone; the server is for everybody
        os.write(1, message)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
