"""The archives of a soak: who fills them, what kills that, and what the judge reads of them.

The judge shares no code with the product.
"""

import importlib.util
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

from soak.faults import Fault
from soak.history import VIOLATION, Entry
from soak.server import CannotInjectError, Server
from soak.shards.commands import COMMAND_SECONDS, Commands
from soak.shards.system import ShardedSystem
from soak.system import System

ARCHIVED: Final = "archived"
"""A process that archives all servers has ended: `code`, `events`, `files`, `why`."""

_ROUNDS: Final = 3
_END_SECONDS: Final = 120.0
"""For so long at most the last round may fail, once nothing is hurt any more."""
_AGAIN_SECONDS: Final = (0.5, 2.0)
_WORK_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.01
_MOMENT_SECONDS: Final = 0.4
_WHY: Final = 160

_SELECT_FILES: Final = "SELECT name, sha256, events FROM archived_files ORDER BY number"
_SELECT_LEFT: Final = "SELECT name FROM archive_leftovers"
_SELECT_PARTS: Final = """
    SELECT count(*), coalesce(sum(parts), 0)::bigint, count(*) FILTER (WHERE logs > 1) FROM (
        SELECT count(*) AS parts, count(DISTINCT f.first_position >> 40) AS logs
        FROM settled s JOIN archived_files f ON f.number = s.file GROUP BY s.originator_id
    ) AS streams
"""


class Archiver(threading.Thread):
    """Archives the servers again and again, until it is told to stop; then once more.

    Args:
        system: The system.
        seed: The pauses come from it.
    """

    def __init__(self, system: ShardedSystem, seed: int) -> None:
        super().__init__(name="soak-archiver", daemon=True)
        self._system = system
        self._chance = Random(f"archives {seed}")  # noqa: S311 - repeatable choices, no secret
        self._stopping = threading.Event()
        self._commands = Commands(system, "archiver")

    def run(self) -> None:
        """Run a process after the other."""
        while not self._stopping.is_set():
            self._archive(_ROUNDS)
            self._stopping.wait(self._chance.uniform(*_AGAIN_SECONDS))

    def finish(self) -> None:
        """Begin no further process, and wait for the end of the last one."""
        self._stopping.set()
        self.join(COMMAND_SECONDS + 30)

    def finish_rest(self) -> None:
        """Archive once more, which removes what killed ones have left. Nothing is hurt, and nobody moves."""
        until = time.monotonic() + _END_SECONDS
        while (code := self._archive(1)) != 0:
            if time.monotonic() > until:
                what = f"the last archiver ends with code {code}: see logs/archiver-*.err"
                self._system.history.write(VIOLATION, check="archives", what=what)
                return
            time.sleep(1.0)

    def kill(self) -> int:
        """Kill the process in the middle of its work; returns its number.

        Raises:
            CannotInjectError: None is at work.
        """
        until = time.monotonic() + _WORK_SECONDS
        while time.monotonic() < until:
            lines = self._commands.read_output().splitlines()
            if lines and lines[-1].startswith("moving"):
                time.sleep(self._chance.uniform(0.0, _MOMENT_SECONDS))
                if (pid := self._commands.send(signal.SIGKILL)) is not None:
                    return pid
            time.sleep(_LOOK_SECONDS)
        raise CannotInjectError("no archiver is at work")

    def _archive(self, rounds: int) -> int:
        words = self._system.module("shards.archiver", str(self._system.archive), str(rounds))
        code, output, errors = self._commands.run(words)
        if "Traceback" in errors:
            self._system.history.write(VIOLATION, check="archives", what=errors[-1_000:])
        moved = [(int(events), int(files)) for events, files in re.findall(r"moved (\d+) in (\d+)", output)]
        self._system.history.write(
            ARCHIVED,
            code=code,
            events=sum(events for events, _ in moved),
            files=sum(files for _, files in moved),
            why=" ".join(errors.split())[-_WHY:],
        )
        return code


def _kill_archiver(system: System, _: Random) -> Iterator[str]:
    """`kill -9` in the middle of its work."""
    assert isinstance(system, ShardedSystem)
    yield f"archiver {system.kill_archiver()}"


def _needs_pyarrow(_: System) -> str | None:
    return None if importlib.util.find_spec("pyarrow") else "pyarrow is not installed"


ARCHIVE_FAULTS: Final = [Fault("kill -9 archiver", 3, (0.0, 0.0), _kill_archiver, _needs_pyarrow)]
"""Servers are archived in a run that has one of these."""


def read_archived(server: Server, folder: Path, number: int) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Read the archived events of a server, as its table has events; and say what is wrong with its files.

    Args:
        server: The server.
        folder: The place of the home; each other server has a folder in it.
        number: The number of the server.
    """
    place = folder / f"shard-{number}" if number else folder
    named = server.sql(_SELECT_FILES)
    there = {str(one.relative_to(place)) for one in place.glob("slice=*/*")}
    unnamed = there - {name for name, *_ in named}
    wrong = [f"{name} is in the place of shard {number}, and not named" for name in unnamed]
    wrong += [f"{name} is left on shard {number}" for (name,) in server.sql(_SELECT_LEFT)]
    rows: list[tuple[Any, ...]] = []
    for name, digest, events in named:
        try:
            data = (place / name).read_bytes()
        except OSError as error:
            wrong.append(f"{name} of shard {number} cannot be read: {error}")
            continue
        found = _read_file(data)
        rows += found
        logs = {(row[0] >> 40, row[1].int >> 124) for row in found}
        if sha256(data).hexdigest() != digest or len(found) != events or len(logs) != 1:
            wrong.append(f"{name} of shard {number} has other bytes or events; logs and slices: {logs}")
    return rows, wrong


def _read_file(data: bytes) -> list[tuple[Any, ...]]:
    parquet = importlib.import_module("pyarrow.parquet")
    with parquet.ParquetFile(BytesIO(data)) as file:
        columns = [column.to_pylist() for column in file.read().columns]
    return [(position, UUID(bytes=stream), *rest) for position, stream, *rest in zip(*columns, strict=True)]


def archive_lines(entries: Sequence[Entry], servers: Sequence[Server]) -> list[str]:
    """Say for people what was archived."""
    runs = [one for one in entries if one["kind"] == ARCHIVED]
    killed = sum(one["code"] == -signal.SIGKILL for one in runs)
    failed = sum(one["code"] != 0 for one in runs) - killed
    streams, parts, mixed = (
        sum(one) for one in zip(*(server.sql(_SELECT_PARTS)[0] for server in servers), strict=True)
    )
    events, files = (sum(one[name] for one in runs) for name in ("events", "files"))
    words = (
        f"{len(runs):,} processes archived {events:,} events in {files:,} files; {killed:,} were killed, and"
        f" {failed:,} ended with an error; {streams:,} streams have {parts:,} parts there, {mixed:,} of them"
        " of several servers"
    )
    return [words]
