"""Work beside the clients: `expire`, whole rebuilds, proofs, and cheap checks on the way."""

import subprocess
import threading
import time
from random import Random
from typing import Final

import psycopg

from soak.history import VIOLATION
from soak.system import System

_GAPS: Final = """
    SELECT originator_id::text, count(*), max(originator_version) FROM offerlog_events
    WHERE notification_id > %s GROUP BY 1
    HAVING max(originator_version) - min(originator_version) + 1 <> count(*)
"""
_LAST: Final = "SELECT coalesce(max(notification_id), 0) FROM offerlog_events"
_WORDS: Final = (("expire",), ("projections", "rebuild"), ("projections", "verify"), ("expire",))
_LOOK_SECONDS: Final = 2.0
_SILENCE: Final = 150.0
"""Time limit of a command while faults are injected."""
_BEHIND: Final = 20_000
"""So many of the last positions are looked at for gaps on the way."""


class Upkeep(threading.Thread):
    """A thread that runs commands now and then, and looks for gaps.

    Attributes:
        commands: How many commands have ended with which exit code: command, code, number.
    """

    def __init__(self, system: System, seed: int, every: tuple[float, float]) -> None:
        super().__init__(name="soak-upkeep", daemon=True)
        self._system = system
        self._chance = Random(f"upkeep {seed}")  # noqa: S311 - repeatable, no secret
        self._every = every
        self._ended = threading.Event()
        self.commands: dict[tuple[str, int], int] = {}

    def stop(self) -> None:
        """Begin nothing more."""
        self._ended.set()

    def run(self) -> None:
        """Work until stopped."""
        due = time.monotonic() + self._chance.uniform(*self._every)
        while not self._ended.wait(_LOOK_SECONDS):
            self._look_for_gaps()
            if time.monotonic() >= due:
                self._command()
                due = time.monotonic() + self._chance.uniform(*self._every)

    def _command(self) -> None:
        words = self._chance.choice(_WORDS)
        name = " ".join(words)
        try:
            run = self._system.command(*words, seconds=_SILENCE)
        except subprocess.TimeoutExpired:
            what = f"offerlog {name} took longer than {_SILENCE:.0f} s"
            self._system.history.write(VIOLATION, check="commands", what=what)
            return
        self.commands[name, run.returncode] = self.commands.get((name, run.returncode), 0) + 1
        is_clear = run.returncode == 0 or run.stderr.startswith("offerlog: ") or run.returncode < 0
        self._system.history.write("command", words=name, code=run.returncode, said=run.stderr.strip()[-500:])
        if "Traceback" in run.stderr or not is_clear:
            what = f"offerlog {name} ended with {run.returncode}: {run.stderr.strip()[-500:]}"
            self._system.history.write(VIOLATION, check="commands", what=what)

    def _look_for_gaps(self) -> None:
        try:
            ((last,),) = self._system.sql(_LAST)
            gaps = self._system.sql(_GAPS, max(0, last - _BEHIND))
        except psycopg.Error:
            return  # a fault is active; the next look will do
        for stream, count, version in gaps:
            what = f"stream {stream}: {count} events up to version {version}"
            self._system.history.write(VIOLATION, check="versions on the way", what=what)
