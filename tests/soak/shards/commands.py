"""The commands that a thread of a soak runs, one after the other, and that a fault may signal."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from soak.shards.system import ShardedSystem
from support.processes import LimitedProcess

COMMAND_SECONDS: Final = 300.0
"""For so long at most a command may take; it is killed then."""


class Commands:
    """Runs commands, each with a number.

    Args:
        system: The system.
        name: The beginning of the names of their files in the folder `logs`.
    """

    def __init__(self, system: ShardedSystem, name: str) -> None:
        self._system = system
        self._name = name
        self._number = 0
        self._process: LimitedProcess | None = None

    def send(self, number: signal.Signals) -> int | None:
        """Send a signal to the command that is at work; returns its process number, None without one."""
        process = self._process
        if process is None or process.poll() is not None:
            return None
        process.send_signal(number)
        return process.pid

    def read_output(self) -> str:
        """Return what the newest command has printed so far."""
        return _read(self._places()[0]) if self._number else ""

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Run a command; returns its exit code, its standard output and its standard error."""
        self._number += 1
        places = self._places()
        with places[0].open("wb") as output, places[1].open("wb") as errors:
            self._process = LimitedProcess(
                words,
                env=self._system.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                seconds=COMMAND_SECONDS,
            )
            code = self._process.wait(COMMAND_SECONDS + 30)  # it is killed before
        return code, _read(places[0]), _read(places[1])

    def _places(self) -> list[Path]:
        logs = self._system.folder / "logs"
        return [logs / f"{self._name}-{self._number}.{one}" for one in ("out", "err")]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
