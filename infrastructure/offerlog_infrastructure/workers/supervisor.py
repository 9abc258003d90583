"""The supervisor: it starts the processes of a service, starts one again that dies, and ends them in order.

Process 0 does the work in the background; the others serve HTTP. All are forks of the supervisor, which has
no threads and has not opened the store. So a fork costs milliseconds and shares the memory of all modules.
"""

import gc
import json
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.workers.lifeline import Lifeline

BACKGROUND: Final = 0
"""The number of the process that does the work in the background."""

STOP_SECONDS: Final = 40.0
"""Most seconds in which workers must end in order, and then the background; what is left is killed."""

_STEADY_SECONDS: Final = 60.0
"""A process that has run for so long starts again at once when it dies."""

_LONGEST_PAUSE: Final = 30.0
"""Most seconds until a process that dies again and again is started again."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Process:
    """A child process.

    Attributes:
        number: Its number among the processes of the service.
        pid: Its process id.
        report: The pipe on which it reports that it is ready, and whose end is its end.
        began: When it was forked, in monotonic seconds.
        is_ready: True once it has reported.
    """

    number: int
    pid: int
    report: int
    began: float
    is_ready: bool = False


@dataclass(slots=True)
class _Restart:
    """The next start of a process that died.

    Attributes:
        failures: How often it died soon after its start, one time after the other.
        due: When it is started again, in monotonic seconds; None while it runs.
    """

    failures: int = 0
    due: float | None = None


class ProcessEndedError(OfferlogError):
    """A process ended before it was ready, and has said why on standard error.

    Attributes:
        code: Its exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"a process of the service ended with {code} before it was ready")
        self.code = code


class Supervisor:
    """The processes of one service.

    Args:
        count: The number of processes that serve HTTP.
        run: Runs a process by its number, in the child. It calls the function that it is given with a report
            when it is ready, and returns the exit code. It must not raise.
        prepare: Called in the supervisor before a process is started, with its number.
        ended: Called in the supervisor when a process has ended, with its number and whether it is
            started again at once.
    """

    def __init__(
        self,
        count: int,
        run: Callable[[int, Callable[[Mapping[str, Any]], None]], int],
        prepare: Callable[[int], object],
        ended: Callable[[int, bool], None],
    ) -> None:
        self._count = count
        self._run = run
        self._prepare = prepare
        self._ended = ended
        self._lifeline = Lifeline()
        self._running: dict[int, _Process] = {}
        self._restarts = {number: _Restart() for number in range(count + 1)}
        self._is_stopping = False
        gc.collect()
        gc.freeze()  # the children share what is in memory now

    def start(self, then: Callable[[], None]) -> Mapping[str, Any]:
        """Start the process of the background, then the others; return the report of the first.

        Args:
            then: Called once the background is ready.

        Raises:
            ProcessEndedError: One ended before it was ready. The others run.
        """
        report = self._await_ready(self._fork(BACKGROUND))
        then()
        for process in [self._fork(number) for number in range(1, self._count + 1)]:
            self._await_ready(process)
        return report

    def watch(self, began: Callable[[], None]) -> None:
        """Start processes again that die, until SIGTERM or SIGINT.

        Args:
            began: Called once these signals end the service in order.
        """
        with self._signals() as woken:
            began()
            while not self._is_stopping:
                self._start_due()
                reports = {process.report: process for process in self._running.values()}
                dues = [one.due for one in self._restarts.values() if one.due is not None]
                patience = max(0.0, min(dues) - time.monotonic()) if dues else None
                ready, _, _ = select.select([woken, *reports], [], [], patience)
                for one in ready:
                    if one == woken:
                        os.read(woken, 64)
                    elif not self._read_report(reports[one]) and not self._is_stopping:
                        self._note_end(reports[one])

    @property
    def pids(self) -> Mapping[int, int]:
        """The process ids of the processes that run, by their numbers."""
        return {process.number: process.pid for process in self._running.values()}

    def stop(self) -> None:
        """End all processes in order: first those that serve, then the background. May be called again."""
        self._is_stopping = True
        background = self._running.pop(BACKGROUND, None)
        self._end(list(self._running.values()))
        self._running.clear()
        if background is not None:
            self._end([background])
        self._lifeline.close()

    def _fork(self, number: int) -> _Process:
        """Start a process.

        Raises:
            OSError: The system has no process or no port for it.
        """
        self._prepare(number)
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if pid == 0:
            os.close(reader)
            for other in self._running.values():
                os.close(other.report)
            os._exit(self._live(number, writer))
        os.close(writer)
        process = self._running[number] = _Process(number, pid, reader, time.monotonic())
        self._restarts[number].due = None
        return process

    def _live(self, number: int, writer: int) -> int:
        """Live as a child; returns the exit code."""
        signal.set_wakeup_fd(-1)
        for ignored in (signal.SIGINT, signal.SIGHUP):  # of the terminal: the supervisor passes them on
            signal.signal(ignored, signal.SIG_IGN)
        self._lifeline.follow(STOP_SECONDS)

        def report(news: Mapping[str, Any]) -> None:
            os.write(writer, json.dumps(dict(news)).encode() + b"\n")

        return self._run(number, report)

    def _await_ready(self, process: _Process) -> Mapping[str, Any]:
        text = b""
        while not text.endswith(b"\n"):
            part = os.read(process.report, 4096)
            if not part:
                raise ProcessEndedError(self._reap(process))
            text += part
        process.is_ready = True
        return dict(json.loads(text))

    def _read_report(self, process: _Process) -> bool:
        """Read what a process reports; returns False at its end."""
        if not os.read(process.report, 4096):
            return False
        process.is_ready = True
        _log.info("%s serves again", _name(process))
        return True

    def _note_end(self, process: _Process) -> None:
        """Log the end of a process, and plan its next start."""
        code = self._reap(process)
        restart = self._restarts[process.number]
        has_lived = time.monotonic() - process.began >= _STEADY_SECONDS
        restart.failures = 1 if has_lived and process.is_ready else restart.failures + 1
        pause = 0.0 if restart.failures == 1 else min(2.0 ** (restart.failures - 2), _LONGEST_PAUSE)
        restart.due = time.monotonic() + pause
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        when = f"in {pause:g} s" if pause else "at once"
        _log.error("%s %s; it starts again %s", _name(process), how, when)
        self._ended(process.number, pause == 0)

    def _reap(self, process: _Process) -> int:
        """Wait for a process that ends; return its exit code, or the negative number of a signal."""
        _, status = os.waitpid(process.pid, 0)
        os.close(process.report)
        self._running.pop(process.number, None)
        return os.waitstatus_to_exitcode(status)

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, restart in self._restarts.items():
            if restart.due is None or restart.due > now:
                continue
            try:
                self._fork(number)
            except OSError as error:
                restart.due = now + _LONGEST_PAUSE
                _log.error("process %d cannot be started and will be tried again: %s", number, error)

    def _end(self, processes: list[_Process]) -> None:
        """End processes in order within a time limit, and kill those that outlast it."""
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        deadline, left = time.monotonic() + STOP_SECONDS, {one.report: one for one in processes}
        while left and (patience := deadline - time.monotonic()) > 0:
            for one in select.select(list(left), [], [], patience)[0]:
                if not os.read(one, 4096):
                    self._reap(left.pop(one))
        for process in left.values():
            _log.error("%s did not end in %.0f s and is killed", _name(process), STOP_SECONDS)
            os.kill(process.pid, signal.SIGKILL)
            self._reap(process)

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Note SIGTERM and SIGINT, from now on; yields a pipe that can be read when one came."""
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(before)
            os.close(woken)
            os.close(waker)

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True


def _name(process: _Process) -> str:
    what = "the background process" if process.number == BACKGROUND else f"worker {process.number}"
    return f"{what} (process {process.pid})"
