"""The system under test: an embedded store in a folder, its processes, and what faults may touch of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg

from soak.fleet import Fleet
from soak.history import History
from support.proxy import Proxy

COMMAND = str(Path(sys.executable).with_name("offerlog"))
SCHEMA = "offerlog"
DATABASE_MARK = b"postgres: offerlog_service offerlog "
"""How the command line of a session of the service begins."""


class CannotInjectError(Exception):
    """A fault has no target now, or is not permitted here; the message says why. It counts as skipped."""


class System:
    """The store, its processes, and the folder of the run.

    Attributes:
        folder: Everything of the run.
        data: The embedded store's folder in it.
        keyring: The file with the key of the store.
        environment: What every process of the system is started with.
        history: The nemesis's and the fleet's history.
        fleet: The processes.
        held: Is closed when the run ends: a fault's preparations are undone by callbacks in it.
        dsn: How the store is reached, behind every proxy; known once the store has been started.
        proxy: Between `service-2` and the store; known once the store has been started.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.held = ExitStack()
        self.history = History(folder / "history", "harness")
        self.fleet = Fleet(self.history, seconds)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("OFFERLOG_")}
        tests = str(Path(__file__).parents[1])
        self.keyring = folder / "private" / "keyring.json"
        places = {"OFFERLOG_DATA": str(self.data), "OFFERLOG_KEYRING": str(self.keyring)}
        self.environment = {**plain, **places, "PYTHONPATH": tests, "NO_COLOR": "1"}
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

    def command(self, *words: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run the command `offerlog` on the store, whatever its exit code.

        Raises:
            subprocess.TimeoutExpired: It took longer; it was killed.
        """
        return subprocess.run(
            [COMMAND, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def module(self, name: str, *words: str) -> Sequence[str]:
        """Return the command that runs a module of the soak as a process."""
        return [sys.executable, "-m", f"soak.{name}", *words]

    @staticmethod
    def _recorded(path: Path) -> int:
        try:
            pid = int(path.read_text("ascii").split()[0])
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError) as error:
            raise CannotInjectError(f"{path.name} names no running process now") from error
        return pid
