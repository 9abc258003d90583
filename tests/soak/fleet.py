"""The processes of the system: started, started again when they end, paused, ended."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from soak.history import ENDED, STARTED, History
from support.processes import LimitedProcess

_LOOK_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 0.5
_TERM_SECONDS: Final = 40.0


@dataclass
class Member:
    """One process of the fleet, and those that take its place.

    Attributes:
        name: Unique, such as `service-1`; the part before the dash is its role.
        words: The command.
        log: The file for its standard error, and its standard output where nobody reads that.
        is_up: Whether it works: has opened the store and answers.
        was_up: Whether the running process has been seen to work.
        is_expected: Whether the running process has been sent a signal, so that its end is no surprise.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    is_up: Callable[[], bool]
    process: LimitedProcess | None = None
    was_up: bool = False
    is_expected: bool = False
    not_before: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Fleet:
    """All processes; a thread starts again what has ended.

    Args:
        history: For starts and ends.
        seconds: How long a process may run; none outlives the soak.
    """

    def __init__(self, history: History, seconds: float) -> None:
        self._history = history
        self._seconds = seconds
        self._members: dict[str, Member] = {}
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="soak-fleet", daemon=True)

    def add(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        is_up: Callable[[], bool],
    ) -> None:
        """Start a process, and see to it that one runs from now on."""
        member = self._members[name] = Member(name, words, environment, log, is_up)
        with member.lock:
            self._start(member)

    def keep(self) -> None:
        """From now on, start again what has ended."""
        self._keeper.start()

    def names(self, role: str = "") -> list[str]:
        """Return the names of all processes of a role, sorted; of all roles without one."""
        return sorted(name for name in self._members if name.startswith(role))

    def pid(self, name: str) -> int:
        """Return the number of the process that runs under this name now, or ran last."""
        process = self._members[name].process
        assert process is not None
        return process.pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal; a process that has just ended is none to send it to."""
        member = self._members[name]
        with member.lock:
            if member.process is not None and member.process.poll() is None:
                if number not in {signal.SIGSTOP, signal.SIGCONT}:
                    member.is_expected = True
                member.process.send_signal(number)

    def is_up(self, name: str) -> bool:
        """Say whether the process under this name works."""
        member = self._members[name]
        running = member.process is not None and member.process.poll() is None
        return running and member.is_up()

    def await_up(self, seconds: float, *names: str) -> None:
        """Wait until these processes work, or all.

        Raises:
            TimeoutError: One of them does not; the message names its log.
        """
        deadline = time.monotonic() + seconds
        for name in names or self.names():
            while not self.is_up(name):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} does not work: see {self._members[name].log}")
                time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Ask all processes to end, and kill those that do not."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join(30)
        for member in self._members.values():
            with member.lock, suppress(ProcessLookupError):
                if member.process is not None and member.process.poll() is None:
                    member.is_expected = True
                    os.kill(member.process.pid, signal.SIGCONT)
                    member.process.terminate()
        deadline = time.monotonic() + _TERM_SECONDS
        for member in self._members.values():
            if member.process is None:
                continue
            while member.process.poll() is None and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
            if member.process.poll() is None:
                member.process.kill()
            member.process.wait(30)

    def _start(self, member: Member) -> None:
        member.log.parent.mkdir(parents=True, exist_ok=True)
        with member.log.open("ab") as log:
            member.process = _started(member, log, self._seconds)
        member.was_up = member.is_expected = False
        self._history.write(STARTED, process=member.name, pid=member.process.pid)

    def _keep(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            for member in self._members.values():
                with member.lock:
                    self._look_after(member)

    def _look_after(self, member: Member) -> None:
        process = member.process
        if process is not None:
            code = process.poll()
            if code is None:
                member.was_up = member.was_up or member.is_up()
                return
            process.wait(10)
            # Where the store is down, one that has just been started may end by itself; it is tried again.
            is_expected = member.is_expected or not member.was_up
            self._history.write(ENDED, process=member.name, pid=process.pid, code=code, expected=is_expected)
            member.process, member.not_before = None, time.monotonic() + _AGAIN_SECONDS
        if time.monotonic() >= member.not_before and not self._stopping.is_set():
            self._start(member)


def _started(member: Member, log: IO[bytes], seconds: float) -> LimitedProcess:
    return LimitedProcess(
        member.words,
        env=dict(member.environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        seconds=seconds,
    )
