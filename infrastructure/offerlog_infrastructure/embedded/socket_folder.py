"""Where the server's socket lies: one private folder on a path short enough for the kernel."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded.errors import FolderUnusableError, SocketFolderUnsafeError

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.server_user import ServerUser

PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
LONGEST_PATH_BYTES = 103  # sun_path of macOS is 104 bytes with its final zero; Linux has 108


def socket_folder(data_dir: Path, user: ServerUser) -> Path:
    """The folder for the socket of this data folder: inside it if that will do, else a short one in /tmp.

    Inside is better: nobody else can be there first, no cleaner of /tmp passes by, and processes with
    different ideas of /tmp (systemd's PrivateTmp) agree. It does not do for a path that is too long, that
    libpq would take for a list of hosts, or that is not text. The answer depends on nothing but the data
    folder and the user, so that everyone who shares a server comes to the same one.
    """
    inside = data_dir / "socket"
    length = len(os.fsencode(inside / SOCKET_NAME))
    if length <= LONGEST_PATH_BYTES and "," not in str(inside) and _is_text(str(inside)):
        return inside
    digest = hashlib.blake2b(os.fsencode(data_dir), digest_size=8).hexdigest()
    return Path("/tmp", f"offerlog-{user.uid}-{digest}")  # noqa: S108 - a private folder, checked below


def make_socket_folder(folder: Path, user: ServerUser) -> None:
    """Make the folder, private to the server's user; taken as it is if it is that already.

    Raises:
        SocketFolderUnsafeError: Somebody else made it, or others can enter it.
        FolderUnusableError: It cannot be made.
    """
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        check_socket_folder(folder, user)
    except OSError as error:
        raise FolderUnusableError(folder, error) from error
    user.own(folder)


def check_socket_folder(folder: Path, user: ServerUser) -> None:
    """Make sure that whoever listens in this folder is the server's user.

    Raises:
        SocketFolderUnsafeError: It need not be.
    """
    found = folder.lstat()
    # Ours as well: root may have been killed between making the folder and giving it away.
    owned = found.st_uid in {user.uid, os.geteuid()}
    if not (stat.S_ISDIR(found.st_mode) and owned and stat.S_IMODE(found.st_mode) & 0o077 == 0):
        raise SocketFolderUnsafeError(folder)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
