"""The embedded server as its users see it: a PostgreSQL that runs while anybody uses it."""

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

# Recovery after a crash replays up to max_wal_size, which may take minutes on a small machine.
START_TIMEOUT = 300.0
STARTS_TRIED = 3
LOOK_SECONDS = 0.5
MAX_PAUSE_SECONDS = 1.0
"""A server that recovers is not asked more often than this, so that the tries do not slow it."""

BUSY = ("too many clients", "remaining connection slots")
PASSING = (
    # messages of the server while it starts, recovers or stops
    "is starting up", "is shutting down", "in recovery mode", "not yet accepting connections",
    "not accepting connections", "terminating connection",
    # messages of libpq and the driver while it is down or stopping
    "Is the server running", "Connection refused", "Connection reset", "Broken pipe", "timeout expired",
    "lock timeout", "deadlock detected",
    "server closed the connection", "Resource temporarily unavailable", "Transport endpoint",
)  # fmt: skip
"""Messages of a server that will soon take connections."""

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """A lease on the server of one data folder; any number of processes may hold any number of leases.

    The server runs while any lease is open. If its guard is killed, a holder of a lease starts another. The
    kernel releases the leases of a process that ends.

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
    def acquire(
        cls,
        data_dir: Path,
        bindir: Path | None = None,
        *,
        create: bool = True,
        patience: float | None = None,
    ) -> Self:
        """Connect to the server of this data folder, or start it; returns when it answers.

        Args:
            data_dir: The data folder; made if it is missing.
            bindir: The folder of the PostgreSQL programs to start; None to search for them.
            create: False to open an existing store only.
            patience: Most seconds to wait for another server to stop and for this one to answer; None for
                as long as these may take.

        Raises:
            EmbeddedError: The server cannot be used; the message says why and what to do.
            StoreMissingError: There is no store in the folder, and `create` is false.
        """
        folder = DataFolder.prepare(data_dir, create=create)
        with announced(f"the store in {folder.path} to stop, and to be started anew", STOP_TIMEOUT) as wait:
            wait.reason = lambda: f"it is still there{keepers(folder)}"
            lease = Lease.take(folder, STOP_TIMEOUT if patience is None else patience)
        try:
            dsn = _running(folder, bindir, START_TIMEOUT if patience is None else patience)
            return cls(lease, dsn, folder, bindir)
        except EmbeddedError:
            if patience is None:
                lease.release()  # a server that was started in vain then stops
            else:
                lease.drop()  # it stops as well; nobody waits for that
            raise
        except BaseException:
            lease.drop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """Return environment variables for PostgreSQL's programs, such as `pg_dump`, to find this database.

        They include the password. On a command line, every user of the machine could read it.
        """
        return {"PATH": os.defpath, **as_environment(self.dsn)}

    def close(self) -> None:
        """Release the lease; the last one waits until the server has stopped. May be called again."""
        if os.getpid() == self._owner:
            self._closing.set()
            self._watch.join()
            with announced(f"the store in {self.data_dir} to stop", STOP_TIMEOUT) as wait:
                wait.reason = lambda: f"it is still there{keepers(self._folder)}"
                self._lease.release()
        else:
            self._lease.drop()  # a forked process: the parent keeps the lease

    def _keep(self) -> None:
        """Start the server again if its guard was killed and the server has stopped."""
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


def _running(folder: DataFolder, bindir: Path | None, patience: float = START_TIMEOUT) -> str:
    """Wait for a server that answers and return its connection string. The caller must have a lease."""
    with announced(f"the store in {folder.path}", patience) as wait:
        wait.reason = lambda: f"it has not answered yet{keepers(folder)}"
        if not locks.is_free(folder.guard):
            dsn, _ = _answer(folder, hand_over=False)
            if dsn:
                return dsn
        deadline = time.monotonic() + patience
        starts, pause = 0, locks.POLL_SECONDS
        wait.reason = lambda: starter(folder)
        with locks.held(folder.start, timeout=patience):
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
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
    raise ServerNotStartedError(folder.path, wait.why)


def _answer(folder: DataFolder, *, hand_over: bool) -> tuple[str | None, str]:
    """Try to connect; return the connection string, or None, and the message of the server.

    Args:
        folder: The data folder.
        hand_over: True to give the database of an older offerlog, which used it as the superuser, to the
            service's role. The caller must hold the start lock. Older processes keep their connections.

    Raises:
        ServerNotStartedError: The message is about a trouble that does not pass by itself.
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
            return dsn, message  # it answers, but is busy
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
    """Return the error for a message about a trouble that does not pass by itself."""
    if cause := _cause_outside(message):
        return ServerNotStartedError(folder.path, message + cause)
    return ServerRefusesError(folder.path, message)


def _cause_outside(message: str) -> str:
    """Describe an environment variable that may have caused the error, to append to it."""
    if "service" in message:
        return "; the environment variable PGSERVICE names a service that libpq cannot find: unset it"
    for parameter, variable in (("DateStyle", "PGDATESTYLE"), ("TimeZone", "PGTZ"), ("geqo", "PGGEQO")):
        if f'parameter "{parameter}"' in message:
            return f"; that value is from the environment variable {variable}: unset it"
    return ""
