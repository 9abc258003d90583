"""Checks of a data folder: its owner, other users who can write to it, and other files in it.

A user who can write to the folder can replace the database and its password.
"""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
import stat
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import locks
from offerlog_infrastructure.embedded.errors import (
    FolderNotPrivateError,
    FolderUnusableError,
    ForeignFolderError,
)
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.store_missing import StoreMissingError

if TYPE_CHECKING:
    from offerlog_infrastructure.embedded.folder import DataFolder

OURS = ("postgres", "password", "server.log*", "socket", "*.lock", "*.new-*")
"""Names that offerlog itself makes; a killed first start leaves some of them."""

HARMLESS = ("lost+found", ".DS_Store", ".gitkeep", ".keep", ".snapshot")
"""Names that operating systems put into new folders."""

MAX_NAMED = 3


def check_private(folder: DataFolder) -> None:
    """Check that only this user and the server's user can change the folder.

    Raises:
        FolderUnusableError: The folder belongs to another user.
        FolderNotPrivateError: Other users may write to it.
    """
    found = folder.path.stat()
    us = os.geteuid()
    servers = us == 0 and found.st_uid == ServerUser.of(folder.database).uid
    if found.st_uid != us and not servers:
        owner = ServerUser.numbered(found.st_uid).name
        raise FolderUnusableError(folder.path, f"it belongs to user {owner!r}, not to you")
    everybody = bool(found.st_mode & stat.S_IWOTH)
    group = bool(found.st_mode & stat.S_IWGRP) and not _is_alone(found.st_uid, found.st_gid)
    if everybody or group:
        who = "everybody" if everybody else f"the group {_group_name(found.st_gid)!r}"
        raise FolderNotPrivateError(
            folder.path, f"{who} may write to it", f"run `chmod go-w '{folder.path}'`, or choose another one"
        )


def check_unused(folder: DataFolder) -> None:
    """Check that a folder without a store is empty, before a store is made in it.

    Raises:
        ForeignFolderError: The folder holds files that offerlog did not make.
    """
    if folder.database.exists():
        return
    names = sorted(os.listdir(folder.path))  # noqa: PTH208 - plain names are what is compared
    foreign = [name for name in names if not _is_one_of(name, (*OURS, *HARMLESS))]
    if foreign:
        more = f" and {len(foreign) - MAX_NAMED} more" if len(foreign) > MAX_NAMED else ""
        raise ForeignFolderError(folder.path, ", ".join(foreign[:MAX_NAMED]) + more)


def check_store(folder: DataFolder) -> None:
    """Check that there is a store, or that another process is making one now.

    Raises:
        StoreMissingError: There is no store.
    """
    if folder.database.exists():
        return
    if any(lock.exists() and not locks.is_free(lock) for lock in (folder.guard, folder.start)):
        return
    raise StoreMissingError(str(folder.path))


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_alone(uid: int, gid: int) -> bool:
    """Return whether the owner is the only member of a group; many systems make such groups."""
    try:
        owner, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return owner.pw_gid == gid and group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
