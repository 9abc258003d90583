"""A PostgreSQL server with its guard, in a data folder: how faults and checks reach it."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psycopg

from support.proxy import Proxy

SCHEMA: Final = "offerlog"
DATABASE_MARK: Final = b"postgres: offerlog_service offerlog "
"""How the command line of a session of the service begins."""


class CannotInjectError(Exception):
    """A fault has no target now, or is not permitted here; the message says why. It counts as skipped."""


class Server:
    """An embedded store, as seen from outside of the product.

    Attributes:
        data: Its folder.
        dsn: How it is reached, behind every proxy; known once it has been started.
        proxy: Before it; known once it has been started.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.dsn = ""
        self.proxy: Proxy | None = None

    def sql(self, statement: str, *values: Any, seconds: float = 20.0) -> list[tuple[Any, ...]]:
        """Run a statement as the service's role, in a separate connection; returns its rows.

        Raises:
            psycopg.Error: The store cannot be reached, or refuses.
        """
        options = f"-c search_path={SCHEMA} -c statement_timeout={round(seconds * 1000)}"
        with psycopg.connect(self.dsn, options=options, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def guard(self) -> int:
        """Return the process number of the store's guard.

        Raises:
            CannotInjectError: There is none now.
        """
        return self._recorded(self.data / "guard.lock")

    def postmaster(self) -> int:
        """Return the process number of the PostgreSQL server.

        Raises:
            CannotInjectError: There is none now.
        """
        return self._recorded(self.data / "postgres" / "postmaster.pid")

    def backends(self) -> list[int]:
        """List the processes of the sessions of offerlog, as the kernel knows them; asks no server."""
        found: list[int] = []
        with suppress(OSError):
            parent = self.postmaster()
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
            for child in children:
                with suppress(OSError):
                    if Path(f"/proc/{child}/cmdline").read_bytes().startswith(DATABASE_MARK):
                        found.append(int(child))
        return sorted(found)

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process of the store; one that has just ended is none to send it to."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    @staticmethod
    def _recorded(path: Path) -> int:
        try:
            pid = int(path.read_text("ascii").split()[0])
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError) as error:
            raise CannotInjectError(f"{path.name} names no running process now") from error
        return pid
