"""A data folder with an embedded PostgreSQL, and processes that have a lease of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from offerlog_infrastructure.embedded import locks
from support.processes import LimitedProcess

SOURCES = [str(Path(__file__).parents[2] / layer) for layer in ("domain", "infrastructure")]
"""What a process needs on its path, to load the embedded server and nothing else."""

CLIENT = """
import json, sys
from pathlib import Path
from offerlog_infrastructure.embedded import EmbeddedError, EmbeddedServer
try:
    server = EmbeddedServer.acquire(Path(sys.argv[1]))
except EmbeddedError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    sys.exit()
print(json.dumps({"dsn": server.dsn}), flush=True)
if len(sys.argv) > 2:
    import psycopg
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for number in range(int(sys.argv[2]), 10_000_000):
            connection.execute("INSERT INTO noted VALUES (%s)", (number,))
            print(number, flush=True)
if sys.stdin.readline():
    server.close()
    print("closed", flush=True)
"""


def processes(fields: str) -> list[str]:
    """What ps shows of all processes, in full width and in letters of any alphabet."""
    command = ["ps", "-eww", "-o", fields]
    environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    return listed.stdout.splitlines()[1:]


class Client:
    """A process with a lease, which it gives back when told to; or one that writes until it is killed."""

    def __init__(self, data_dir: Path, *arguments: str, python: str = sys.executable, **options: Any) -> None:
        command = [python, "-c", CLIENT, str(data_dir), *arguments]
        self.process = LimitedProcess(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self._greeting: dict[str, str] | None = None

    @property
    def greeting(self) -> dict[str, str]:
        """Its first line: the connection string, or the error; waits for it."""
        if self._greeting is None:
            assert self.process.stdout
            self._greeting = json.loads(self.process.stdout.readline())
        return self._greeting

    def close(self) -> None:
        """Have it give back its lease, and wait for its end."""
        output, _ = self.process.communicate("close\n", timeout=60)
        assert output == "closed\n"

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.communicate(timeout=60)


class Place:
    """A data folder of one test, and what runs on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clients: list[Client] = []

    def client(self, *arguments: str, **options: Any) -> Client:
        """Start a process that takes a lease here."""
        client = Client(self.path, *arguments, **options)
        self._clients.append(client)
        return client

    @property
    def guard(self) -> int:
        """The process number of the guard, or of the last one."""
        return int((self.path / "guard.lock").read_text() or 0)  # empty while a new guard writes it

    @property
    def postmaster(self) -> int:
        """The process number of the server; 0 if there is none."""
        try:
            return int((self.path / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        except FileNotFoundError:
            return 0

    def running(self) -> list[int]:
        """Guard and server processes of this folder, in whatever state but dead."""
        fields = [line.split(None, 2) for line in processes("pid,stat,args")]
        clients = [client.process.pid for client in self._clients]
        mine = [int(pid) for pid, state, args in fields if str(self.path) in args and state[0] != "Z"]
        return [pid for pid in mine if pid not in clients]

    def server_processes(self) -> list[int]:
        """The postmaster, all its children, and the guard."""
        pairs = [tuple(map(int, line.split())) for line in processes("pid,ppid")]
        children = [pid for pid, parent in pairs if parent == self.postmaster]
        return [self.guard, self.postmaster, *children]

    def stopped(self) -> bool:
        """Whether nothing of the server is left."""
        return not self.running() and locks.is_free(self.path / "server.lock")

    def clean(self) -> None:
        """Kill whatever is left here."""
        for client in self._clients:
            client.kill()
        for pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.running())


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def rows(dsn: str, query: str) -> list[Any]:
    """The first column of a query."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [row[0] for row in connection.execute(query)]


def do(dsn: str, statement: str) -> None:
    """Run and commit one statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)
