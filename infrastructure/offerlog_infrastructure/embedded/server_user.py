"""The operating-system user of the server: the current user, or an existing unprivileged user for root."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from offerlog_infrastructure.embedded.errors import (
    FolderUnreachableError,
    FolderUnusableError,
    ServerUserMissingError,
)

CANDIDATES = ("postgres", "nobody")

# Run as that user, so that the kernel decides, access lists included.
FIRST_BLOCKED = 'for path; do [ -x "$path" ] || { printf %s "$path"; exit 1; }; done'


class ServerUser:
    """The operating-system user that PostgreSQL runs as.

    Attributes:
        name: Its name, for messages.
        uid: Its number.
        gid: The number of its group.
        foreign: True if it is not the current user; only root can use another.
    """

    def __init__(self, entry: pwd.struct_passwd) -> None:
        self.name = entry.pw_name
        self.uid = entry.pw_uid
        self.gid = entry.pw_gid
        self.foreign = entry.pw_uid != os.geteuid()

    @classmethod
    def of(cls, database: Path) -> ServerUser:
        """Return the owner of an existing database; else the current user, or for root the first candidate.

        The owner comes first, so that a `postgres` user installed later does not lock out a database that was
        made as `nobody`.

        Raises:
            ServerUserMissingError: The current user is root, and no candidate exists.
            FolderUnusableError: The database belongs to another user, and the current user is not root.
        """
        us = os.geteuid()
        try:
            owner = database.stat().st_uid
        except FileNotFoundError:
            owner = us
        except OSError as error:
            raise FolderUnusableError(database, error) from error
        if us != 0:
            if owner != us:
                raise FolderUnusableError(
                    database, f"it belongs to user {_entry(owner).pw_name!r}, not to you"
                )
            return cls(_entry(us))
        if owner != 0:
            return cls(_entry(owner))
        for name in CANDIDATES:
            try:
                return cls(pwd.getpwnam(name))
            except KeyError:
                continue
        raise ServerUserMissingError(CANDIDATES)

    @classmethod
    def numbered(cls, uid: int) -> ServerUser:
        """Return the user with this number, which the system need not know."""
        return cls(_entry(uid))

    def own(self, path: Path) -> None:
        """Give a new file or folder to this user."""
        if self.foreign:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def switch(self) -> tuple[int | None, int | None, list[int] | None]:
        """Return user, group and extra groups for `subprocess`; all None for the current user."""
        if not self.foreign:
            return None, None, None
        return self.uid, self.gid, os.getgrouplist(self.name, self.gid)

    def first_blocked(self, path: Path) -> Path | None:
        """Return the first part of a path that this user may not enter or execute; None if all may be."""
        if not self.foreign:
            return None
        user, group, extra_groups = self.switch()
        try:
            asked = subprocess.run(  # noqa: S603 - a fixed script; the paths are arguments, not code
                ["/bin/sh", "-c", FIRST_BLOCKED, "sh", *reversed(path.parents), path],
                check=False, capture_output=True, cwd="/", user=user, group=group, extra_groups=extra_groups,
            )  # fmt: skip
        except OSError as error:  # root in a container may lack the right to switch users
            raise ServerUserMissingError((self.name,), error.strerror or str(error)) from error
        return Path(os.fsdecode(asked.stdout)) if asked.stdout else None

    def must_reach(self, path: Path, on_the_way_to: Path | None = None) -> None:
        """Check that this user can reach a folder or program, needed itself or `on_the_way_to` another.

        Raises:
            FolderUnreachableError: The user cannot.
        """
        blocked = self.first_blocked(path)
        if blocked is not None:
            raise FolderUnreachableError(blocked, on_the_way_to or path, self.name)


def _entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        # Containers often run under a number without an entry; PostgreSQL refuses only root.
        gid = os.getegid() if uid == os.geteuid() else uid
        return pwd.struct_passwd((str(uid), "x", uid, gid, "", "/", ""))
