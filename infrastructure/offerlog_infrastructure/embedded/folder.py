"""The data folder: the names in it, and its creation."""

from __future__ import annotations

import os
import re
from pathlib import Path

from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.embedded.errors import FolderUnusableError
from offerlog_infrastructure.embedded.folder_checks import check_private, check_store, check_unused
from offerlog_infrastructure.embedded.server_user import ServerUser

LOG_LIMIT_BYTES = 10_000_000


def default_data_dir() -> Path:
    """Return the default data folder: /var/lib/offerlog for root, else the platform's for user data."""
    if os.geteuid() == 0:
        return Path("/var/lib/offerlog")
    import platformdirs  # noqa: PLC0415 - the guard imports this module without third-party packages

    return platformdirs.user_data_path("offerlog", appauthor=False)


class DataFolder:
    """The paths in one data folder.

    Attributes:
        path: The folder, absolute, symbolic links resolved.
        database: PostgreSQL's PGDATA; it exists only when it is complete.
        password: The password file of the role `offerlog`, readable by its owner alone.
        log: The log of PostgreSQL and its guard.
        lease: The lock that all users of the server share; the guard takes it exclusively to stop the server.
        start: The lock of the process that is starting a guard.
        guard: The lock that a guard holds while it lives; the file holds the guard's process number.
        server: The lock that every process of PostgreSQL holds while it lives.
        leave: The lock of a process that checks whether others have a lease.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "postgres"
        self.password = path / "password"
        self.log = path / "server.log"
        self.lease = path / "lease.lock"
        self.start = path / "start.lock"
        self.guard = path / "guard.lock"
        self.server = path / "server.lock"
        self.leave = path / "leave.lock"

    @classmethod
    def prepare(cls, path: Path, *, create: bool = True) -> DataFolder:
        """Make the folder if it is missing, and check that it may be used.

        A folder made by root has mode 0755, because the server runs as another user and must pass through;
        the files inside are private. An existing folder keeps its mode.

        Args:
            path: The folder.
            create: False to open an existing store only.

        Raises:
            StoreMissingError: There is no store, and `create` is false.
            FolderUnusableError: The folder cannot be made, is not a folder, or belongs to another user.
            FolderNotPrivateError: Other users may write to it.
            ForeignFolderError: There is no store, and the folder holds other files.
            FolderUnreachableError: The server's user cannot reach the folder.
        """
        try:
            path = path.expanduser().resolve()
            folder = cls(path)
            if not create:
                check_store(folder)
            _make(path, 0o755 if os.geteuid() == 0 else 0o700)
            check_private(folder)
            check_unused(folder)
        except PermissionError as error:
            raise FolderUnusableError(_closed(path), "Permission denied") from error
        except (OSError, RuntimeError) as error:
            raise FolderUnusableError(path, error if isinstance(error, OSError) else str(error)) from error
        if "\n" in str(path):
            raise FolderUnusableError(path, "PostgreSQL cannot work in a path with a line break")
        return folder

    def open_log(self) -> int:
        """Open the log for appending; a log above 10 MB is renamed to `server.log.1` first.

        Raises:
            FolderUnusableError: The log cannot be written.
        """
        try:
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            return os.open(self.log, flags, 0o600)
        except OSError as error:
            raise FolderUnusableError(self.log, error) from error

    def complaints(self, log: int, since: int) -> str:
        """Return PostgreSQL's errors in the log, for an error message; empty if there are none.

        Args:
            log: Descriptor of the log.
            since: The offset in bytes to begin at.
        """
        try:
            text = self.log.read_bytes()[since : os.fstat(log).st_size].decode("utf-8", "replace")
        except OSError:
            return ""
        return " ".join(part.strip() for part in re.findall(r"(?:FATAL|PANIC|HINT):  .*", text)[-2:])

    def full_disk_hint(self) -> str:
        """Return words about a full disk to append to an error; empty if the disk is not full."""
        return full_disk_hint(self.path)


def _closed(path: Path) -> Path:
    """Return the first existing folder on the path that this process may not enter or write to."""
    way = [
        place
        for place in reversed((path, *path.parents))
        if place.parent == place or os.access(place.parent, os.X_OK)
    ]
    return next((place for place in way if not os.access(place, os.X_OK)), path)


def _make(path: Path, mode: int) -> None:
    missing: list[Path] = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    if missing and path.is_dir():
        # Checked before anything is made, so that a refusal leaves no empty folders.
        ServerUser.of(missing[0] / "postgres").must_reach(path, on_the_way_to=missing[0])
    for folder in reversed(missing):
        try:
            folder.mkdir(mode)
        except FileExistsError:
            continue  # another first start has made it
        folder.chmod(mode)  # a new folder: the umask must not decide who can pass
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))
