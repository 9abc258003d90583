"""Child processes and threads of tests: none runs for longer than its time limit."""

import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

SECONDS = 120.0
"""Time limit of a child process. A test that needs less or more says so."""


class LimitedProcess(subprocess.Popen[Any]):
    """A `subprocess.Popen` that is killed when it outlives its time limit.

    Reading from a pipe has no time limit in Python. A read from this process ends nevertheless: the kill
    closes the pipe.

    Attributes:
        is_overdue: The time limit has passed, and the process was killed for it.
    """

    def __init__(self, *words: Any, seconds: float = SECONDS, **options: Any) -> None:
        self.is_overdue = False
        self._timer = threading.Timer(seconds, self._end_overdue, (seconds,))
        self._timer.daemon = True
        super().__init__(*words, **options)
        self._timer.start()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the time limit holds for a wait without a limit."""
        returned = super().wait(timeout)
        self._timer.cancel()
        return returned

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pipes and wait for the end. Kill the process after an error in the block."""
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, traceback)

    def _end_overdue(self, seconds: float) -> None:
        if self.poll() is None:
            self.is_overdue = True
            sys.stderr.write(f"killed after {seconds:g} s: {self.args!r}\n")
            self.kill()


def finish(*threads: threading.Thread, seconds: float = 60.0) -> None:
    """Wait until threads have ended.

    Raises:
        AssertionError: One of them still runs after that many seconds.
    """
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), f"{thread.name} still runs after {seconds:g} s"
