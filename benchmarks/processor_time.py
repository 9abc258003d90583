"""Processor time of processes, from /proc: other users of the machine blur it less than the clock."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.05

Spent = dict[int, float]
"""Seconds of processor time by process id."""


def spent_by(pid: int) -> Spent:
    """The processor time of a process and of all that it started, as far as they run."""
    try:
        fields = _fields(pid)
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return {}
    found = {pid: (int(fields[11]) + int(fields[12])) * _TICK}
    for child in started:
        found |= spent_by(int(child))
    return found


def spent_by_server(dsn: str) -> float:
    """The processor time of a PostgreSQL on this machine, with that of its processes that have ended."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        server = int(_fields(row[0])[1])
        ended = _fields(server)
        return sum(spent_by(server).values()) + (int(ended[13]) + int(ended[14])) * _TICK


@contextmanager
def watched(pid: int) -> Iterator[Spent]:
    """Keep the latest processor time of a process and its children, which may end before the block does."""
    found: Spent = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            found.update(spent_by(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join(10)


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
