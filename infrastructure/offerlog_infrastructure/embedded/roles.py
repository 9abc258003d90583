"""The two roles of the embedded database, and the file with the password of the one that the service uses.

PostgreSQL's first role is a superuser. Nobody logs in as it: its password is not kept. Work that needs it is
done in single-user mode, while no server runs. The service's role owns the database and has no rights outside
it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded.errors import FolderNotPrivateError

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.folder import DataFolder

SUPERUSER = "offerlog"
ROLE = "offerlog_service"
DATABASE = "offerlog"

SETUP = Path(__file__).with_name("hand_over.sql")


def setup(password: str) -> str:
    """Return the statement, on one line, that gives the database to the service's role.

    It runs in the database as the superuser, and may run again.

    Args:
        password: The role's new password, of letters and digits.
    """
    lines = SETUP.read_text("ascii").splitlines()
    return " ".join(line.strip() for line in lines if not line.startswith("--")).replace(
        "@PASSWORD", password
    )


def new_password() -> str:
    """Return a password of 192 random bits."""
    return os.urandom(24).hex()


def read_password(folder: DataFolder) -> tuple[str, str]:
    """Read the role and its password from the password file.

    The file of a store made by an older offerlog holds only the superuser's password.

    Raises:
        FileNotFoundError: There is no such file.
        FolderNotPrivateError: Other users may read it, or it belongs to another user.
    """
    file = os.open(folder.password, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(file, encoding="ascii") as stream:  # noqa: PTH123 - opened without following a link
        found = os.fstat(file)
        trusted = {os.geteuid(), folder.path.stat().st_uid}
        if found.st_uid not in trusted or stat.S_IMODE(found.st_mode) & 0o077:
            raise FolderNotPrivateError(
                folder.password,
                "others may read or change it",
                "stop everything that uses the store and remove that file: a new password is made",
            )
        text = stream.read().strip()
    *_, role, password = (SUPERUSER, text) if ":" not in text else text.split(":")
    return role, password


def write_password(folder: DataFolder, password: str) -> None:
    """Write the password file, complete or not at all, readable by its owner alone.

    It has libpq's format, so `PGPASSFILE` may name it.
    """
    written = folder.path / f"password.new-{os.getpid()}"
    write_private(written, f"*:*:*:{ROLE}:{password}\n")
    owner = folder.path.stat()
    if owner.st_uid != os.geteuid():  # root works on the store of another user, who must be able to read it
        os.chown(written, owner.st_uid, owner.st_gid)
    written.rename(folder.password)
    sync(folder.path)


def write_private(path: Path, text: str) -> None:
    """Write a file that no other user can read."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(file, "w", encoding="ascii") as stream:  # noqa: PTH123 - the descriptor has the private mode
        stream.write(text)
        stream.flush()
        os.fsync(file)


def sync(folder: Path) -> None:
    """Flush the folder's list of names to the disk."""
    listing = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(listing)
    finally:
        os.close(listing)
