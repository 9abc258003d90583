"""The folder of the server's socket: private, and on a path short enough for the kernel."""

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
    """Return the socket folder of a data folder: inside it if possible, else a short path in /tmp.

    Inside is better: no other user can make it first, no cleaner of /tmp removes it, and processes that see
    different folders as /tmp (systemd's PrivateTmp) agree. It is not possible if the path is too long, if
    libpq would read it as a list of hosts, or if it is not text. The result depends on the data folder and
    the user alone, so all users of a server get the same one.
    """
    inside = data_dir / "socket"
    length = len(os.fsencode(inside / SOCKET_NAME))
    if length <= LONGEST_PATH_BYTES and "," not in str(inside) and _is_text(str(inside)):
        return inside
    digest = hashlib.blake2b(os.fsencode(data_dir), digest_size=8).hexdigest()
    return Path("/tmp", f"offerlog-{user.uid}-{digest}")  # noqa: S108 - a private folder, checked below


def make_socket_folder(folder: Path, user: ServerUser) -> None:
    """Make the folder, private to the server's user, unless it is there already.

    Raises:
        SocketFolderUnsafeError: Another user made it, or other users can enter it.
        FolderUnusableError: The folder cannot be made.
    """
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        check_socket_folder(folder, user)
    except OSError as error:
        raise FolderUnusableError(folder, error) from error
    user.own(folder)


def check_socket_folder(folder: Path, user: ServerUser) -> None:
    """Check that only the server's user can listen in this folder.

    Raises:
        SocketFolderUnsafeError: Another user could.
    """
    found = folder.lstat()
    # The current user too: root may have been killed between making the folder and giving it away.
    owned = found.st_uid in {user.uid, os.geteuid()}
    if not (stat.S_ISDIR(found.st_mode) and owned and stat.S_IMODE(found.st_mode) & 0o077 == 0):
        raise SocketFolderUnsafeError(folder)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
