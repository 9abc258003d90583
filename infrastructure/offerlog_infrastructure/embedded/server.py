"""The way in: a PostgreSQL that is there for as long as somebody uses it."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Self

from offerlog_infrastructure.embedded import locks, roles
from offerlog_infrastructure.embedded.address import address, as_environment
from offerlog_infrastructure.embedded.errors import (
    EmbeddedError,
    FolderUnusableError,
    ServerNotStartedError,
    ServerRefusesError,
)
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.holders import keepers, starter
from offerlog_infrastructure.embedded.launch import launch_guard
from offerlog_infrastructure.embedded.lease import STOP_TIMEOUT, Lease
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.socket_folder import check_socket_folder, socket_folder
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.observability.waiting import announced

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Recovery after a crash replays up to max_wal_size; a small machine may take minutes over it.
START_TIMEOUT = 300.0
STARTS_TRIED = 3
LOOK_SECONDS = 0.5
MOST_PAUSE_SECONDS = 1.0
"""A server that recovers is asked as often as this at most, so that asking costs it nothing."""

BUSY = ("too many clients", "remaining connection slots")
PASSING = (
    # the server's words while it starts, recovers or stops
    "is starting up", "is shutting down", "in recovery mode", "not yet accepting connections",
    "not accepting connections", "terminating connection",
    # libpq's and the driver's while it is not there, or in the middle of going
    "Is the server running", "Connection refused", "Connection reset", "Broken pipe", "timeout expired",
    "lock timeout", "deadlock detected",
    "server closed the connection", "Resource temporarily unavailable", "Transport endpoint",
)  # fmt: skip
"""What a server says that will answer before long."""

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """A lease on the server of one data folder; as many as you like, in as many processes as you like.

    The server runs while any lease is open; should its guard be killed, a holder of a lease starts another.
    The kernel gives back the leases of a process that dies.

    Attributes:
        dsn: A libpq connection string for the database `offerlog`, password included: do not log it.
        data_dir: The data folder, absolute.
    """

    def __init__(self, lease: Lease, dsn: str, folder: DataFolder, bindir: Path | None) -> None:
        self._lease = lease
        self._owner = os.getpid()
        self._folder = folder
        self._bindir = bindir
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="offerlog-store", daemon=True)
        self.dsn = dsn
        self.data_dir = folder.path
        self._watch.start()

    @classmethod
    def acquire(cls, data_dir: Path, bindir: Path | None = None, *, create: bool = True) -> Self:
        """Join the server of this data folder, or start it; returns when it answers.

        Args:
            data_dir: The data folder; made if it is not there.
            bindir: The PostgreSQL programs to use if one must be started; None to search for them.
            create: False to open an existing store only; no folder and no database is made then.

        Raises:
            EmbeddedError: There is no server to be had; the message says why and what to do.
            StoreMissingError: There is no store in the folder, and `create` is false.
        """
        folder = DataFolder.prepare(data_dir, create=create)
        with announced(f"the store in {folder.path} to stop, and to be started anew", STOP_TIMEOUT) as wait:
            wait.reason = lambda: f"it is still there{keepers(folder)}"
            lease = Lease.take(folder)
        try:
            return cls(lease, _running(folder, bindir), folder, bindir)
        except EmbeddedError:
            lease.release()  # and with it, in peace, whatever was started in vain
            raise
        except BaseException:
            lease.drop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """The environment for PostgreSQL's own programs, such as `pg_dump`: they find this database by it.

        It holds the password, so that none stands on a command line, which everybody on the machine can read.
        """
        return {"PATH": os.defpath, **as_environment(self.dsn)}

    def close(self) -> None:
        """Give the lease back; the last one out returns when the server has stopped. Again is no harm."""
        if os.getpid() == self._owner:
            self._closing.set()
            self._watch.join()
            with announced(f"the store in {self.data_dir} to stop", STOP_TIMEOUT) as wait:
                wait.reason = lambda: f"it is still there{keepers(self._folder)}"
                self._lease.release()
        else:
            self._lease.drop()  # forked: our parent still has it

    def _keep(self) -> None:
        """Start the server again wherever its guard has gone, and the server with it."""
        trouble = RepeatedTrouble(_log, "the store has gone and cannot be started again yet")
        while not self._closing.wait(LOOK_SECONDS):
            try:
                if locks.is_free(self._folder.guard):
                    _running(self._folder, self._bindir)
            except EmbeddedError as error:
                trouble.note(error)
            else:
                trouble.over()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _running(folder: DataFolder, bindir: Path | None) -> str:
    """The connection string of a server that answers; the caller has a lease, so it will go on doing so."""
    with announced(f"the store in {folder.path}", START_TIMEOUT) as wait:
        wait.reason = lambda: f"it has not answered yet{keepers(folder)}"
        if not locks.is_free(folder.guard):
            dsn, _ = _answer(folder, hand_over=False)
            if dsn:
                return dsn
        deadline = time.monotonic() + START_TIMEOUT
        starts, pause = 0, locks.POLL_SECONDS
        wait.reason = lambda: starter(folder)
        with locks.held(folder.start, timeout=START_TIMEOUT):
            while time.monotonic() < deadline:
                guard_lock = locks.open_lock(folder.guard)
                try:
                    if locks.try_lock(guard_lock):
                        if starts == STARTS_TRIED:
                            break
                        starts += 1
                        wait.reason = "its server is being started"
                        if not launch_guard(folder, guard_lock, bindir, deadline):
                            wait.reason = f"its guard was killed{folder.full_disk_hint()}"
                            continue
                finally:
                    os.close(guard_lock)
                dsn, message = _answer(folder, hand_over=True)
                if dsn:
                    return dsn
                wait.reason = message + keepers(folder)
                time.sleep(pause)
                pause = min(pause * 2, MOST_PAUSE_SECONDS)
    raise ServerNotStartedError(folder.path, wait.why)


def _answer(folder: DataFolder, *, hand_over: bool) -> tuple[str | None, str]:
    """The connection string if the server takes it, and otherwise what it said.

    Args:
        folder: The data folder.
        hand_over: Whether to give the database of an older offerlog, which used it as the superuser, to the
            service's role. The caller holds the start lock then. Older processes go on with what they know.

    Raises:
        ServerNotStartedError: It said something that will not change by itself.
    """
    import psycopg  # noqa: PLC0415 - the guard passes through this module without third-party packages

    try:
        if not folder.database.exists():
            return None, "the database is being made"
        role, password = roles.read_password(folder)
        user = ServerUser.of(folder.database)
        socket_dir = socket_folder(folder.path, user)
        check_socket_folder(socket_dir, user)
        dsn = address(socket_dir, role, password, roles.DATABASE)
        with psycopg.connect(dsn, autocommit=True) as connection:
            if role == roles.SUPERUSER and hand_over:
                password = roles.new_password()
                connection.execute("SET lock_timeout TO '2s'")
                connection.execute(roles.setup(password).encode())
                roles.write_password(folder, password)
    except FileNotFoundError as error:
        return None, f"{error.filename} is not there yet"
    except OSError as error:
        raise FolderUnusableError(folder.path, f"{error.filename}: {error.strerror}") from error
    except psycopg.Error as error:
        message = " ".join(str(error).split())
        if any(words in message for words in BUSY):
            return dsn, message  # it answers; it is only busy
        if "password authentication failed" in message:
            raise ServerNotStartedError(
                folder.path, f"the password in {folder.password} is not the database's; remove that file"
            ) from error
        if any(words in message for words in PASSING):
            return None, message
        raise _refusal(folder, message) from error
    if role == roles.SUPERUSER:
        return None, "the database is being given to another role"
    return dsn, ""


def _refusal(folder: DataFolder, message: str) -> ServerNotStartedError:
    """The error for what a server says that will not change by itself."""
    if cause := _cause_outside(message):
        return ServerNotStartedError(folder.path, message + cause)
    return ServerRefusesError(folder.path, message)


def _cause_outside(message: str) -> str:
    """What the environment has to do with an error, to be added to it."""
    if "service" in message:
        return "; the environment variable PGSERVICE names a service that libpq cannot find: unset it"
    for parameter, variable in (("DateStyle", "PGDATESTYLE"), ("TimeZone", "PGTZ"), ("geqo", "PGGEQO")):
        if f'parameter "{parameter}"' in message:
            return f"; that value is from the environment variable {variable}: unset it"
    return ""
