"""The way in: a PostgreSQL that is there for as long as somebody uses it."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Self

from offerlog_infrastructure.embedded import locks
from offerlog_infrastructure.embedded.cluster import DATABASE, ROLE
from offerlog_infrastructure.embedded.errors import EmbeddedError, FolderUnusableError, ServerNotStartedError
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.launch import launch_guard
from offerlog_infrastructure.embedded.lease import Lease
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.socket_folder import PORT, check_socket_folder, socket_folder

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Recovery after a crash replays up to max_wal_size; a small machine may take minutes over it.
START_TIMEOUT = 300.0
STARTS_TRIED = 3
LOOK_SECONDS = 0.5

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
        lease = Lease.take(folder)
        try:
            return cls(lease, _running(folder, bindir), folder, bindir)
        except EmbeddedError:
            lease.release()  # and with it, in peace, whatever was started in vain
            raise
        except BaseException:
            lease.drop()
            raise

    def close(self) -> None:
        """Give the lease back; the last one out returns when the server has stopped. Again is no harm."""
        if os.getpid() == self._owner:
            self._closing.set()
            self._watch.join()
            self._lease.release()
        else:
            self._lease.drop()  # forked: our parent still has it

    def _keep(self) -> None:
        """Start the server again wherever its guard has gone, and the server with it."""
        while not self._closing.wait(LOOK_SECONDS):
            try:
                if locks.is_free(self._folder.guard):
                    _running(self._folder, self._bindir)
            except EmbeddedError as error:
                _log.warning("the store has gone and cannot be started again yet: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _running(folder: DataFolder, bindir: Path | None) -> str:
    """The connection string of a server that answers; the caller has a lease, so it will go on doing so."""
    if not locks.is_free(folder.guard):
        dsn, _ = _answer(folder)
        if dsn:
            return dsn
    deadline = time.monotonic() + START_TIMEOUT
    starts = 0
    refusal = "it has not answered in time"
    with locks.held(folder.start, timeout=START_TIMEOUT):
        while time.monotonic() < deadline:
            guard_lock = locks.open_lock(folder.guard)
            try:
                if locks.try_lock(guard_lock):
                    if starts == STARTS_TRIED:
                        break
                    starts += 1
                    refusal = "its guard ended without a word"
                    if not launch_guard(folder, guard_lock, bindir, deadline):
                        continue
            finally:
                os.close(guard_lock)
            dsn, refusal = _answer(folder)
            if dsn:
                return dsn
            time.sleep(locks.POLL_SECONDS)
    raise ServerNotStartedError(folder.path, refusal)


def _answer(folder: DataFolder) -> tuple[str | None, str]:
    """The connection string if the server takes it, and otherwise what it said."""
    import psycopg  # noqa: PLC0415 - the guard passes through this module without third-party packages

    try:
        if not folder.database.exists():
            return None, "the database is being made"
        password = folder.password.read_text("ascii")
        user = ServerUser.of(folder.database)
        socket_dir = socket_folder(folder.path, user)
        check_socket_folder(socket_dir, user)
        dsn = psycopg.conninfo.make_conninfo(
            "", host=str(socket_dir), port=PORT, user=ROLE, password=password, dbname=DATABASE
        )
        psycopg.connect(dsn, connect_timeout=10).close()
    except FileNotFoundError as error:
        return None, f"{error.filename} is not there yet"
    except PermissionError as error:
        raise FolderUnusableError(folder.path, f"{error.filename}: {error.strerror}") from error
    except psycopg.OperationalError as error:
        said = str(error)
        if "too many clients" in said or "remaining connection slots" in said:
            return dsn, said  # it answers; it is only busy
        if "password authentication failed" in said:
            raise ServerNotStartedError(
                folder.path, f"the password in {folder.password} is not the database's; remove that file"
            ) from error
        return None, said
    return dsn, ""
