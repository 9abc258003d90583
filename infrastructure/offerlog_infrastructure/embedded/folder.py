"""The data folder: what lies where in it, and making it."""

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
    """Where the data lies by default: /var/lib/offerlog for root, else where the platform has such things."""
    if os.geteuid() == 0:
        return Path("/var/lib/offerlog")
    import platformdirs  # noqa: PLC0415 - the guard passes through this module without third-party packages

    return platformdirs.user_data_path("offerlog", appauthor=False)


class DataFolder:
    """The names of everything in one data folder.

    Attributes:
        path: The folder, absolute, symbolic links resolved.
        database: What PostgreSQL calls PGDATA; there if and only if it is complete.
        password: The password of the role `offerlog`, readable by us alone.
        log: What PostgreSQL and its guard have to say.
        lease: Held shared by everyone who uses the server; the guard holds it exclusively to stop the server.
        start: Held by the one who is starting a guard.
        guard: Held by a guard for as long as it lives; its text is the guard's process number.
        server: Held by every process of a PostgreSQL for as long as it lives.
        leave: Held while looking at who else has a lease.
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
        """Make the folder if it is not there, and make sure that it may be used.

        What root makes is open for passing through (0755), because the server runs as somebody else; what
        matters inside is closed by itself. A folder that exists keeps its mode.

        Args:
            path: The folder.
            create: False to open an existing store only: nothing is made then.

        Raises:
            StoreMissingError: There is no store, and `create` is false.
            FolderUnusableError: It cannot be made, is not a folder, or belongs to another user.
            FolderNotPrivateError: Others may write to it.
            ForeignFolderError: A store would have to be made among files of something else.
            FolderUnreachableError: It would be where the server's user cannot go.
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
        """Open the log for appending; one that has grown beyond 10 MB is put aside as `server.log.1` first.

        Raises:
            FolderUnusableError: It cannot be written.
        """
        try:
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            return os.open(self.log, flags, 0o600)
        except OSError as error:
            raise FolderUnusableError(self.log, error) from error

    def complaints(self, log: int, since: int) -> str:
        """What PostgreSQL complained of in the log, for an error message; empty if it did not.

        Args:
            log: Descriptor of the log.
            since: Where in the log to begin, in bytes.
        """
        try:
            text = self.log.read_bytes()[since : os.fstat(log).st_size].decode("utf-8", "replace")
        except OSError:
            return ""
        return " ".join(part.strip() for part in re.findall(r"(?:FATAL|PANIC|HINT):  .*", text)[-2:])

    def full_disk_hint(self) -> str:
        """Words for a full disk, to be added to an error that the log has no room for; empty if it is not."""
        return full_disk_hint(self.path)


def _closed(path: Path) -> Path:
    """The first folder on the way that exists and that we may not enter, or not write to."""
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
        # Asked before anything is made: a refusal should leave no empty folders behind.
        ServerUser.of(missing[0] / "postgres").must_reach(path, on_the_way_to=missing[0])
    for folder in reversed(missing):
        try:
            folder.mkdir(mode)
        except FileExistsError:
            continue  # another first start was quicker
        folder.chmod(mode)  # our own folder; the umask must not decide who can pass
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))
