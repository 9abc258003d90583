"""A pytest plugin: a time limit for every test, and SIGINT as in a terminal.

Each phase of a test (setup, call, teardown) may take `SECONDS`, or what the marker `time_limit(seconds)`
grants. After that SIGALRM makes the phase fail, with the stacks of all threads on standard error. A phase
that hangs in C code takes no signal: it ends the whole test process a minute later, and pytest-xdist names
the test.
"""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

import pytest

SECONDS = 300.0
"""Generous: the slowest test takes less than a minute on two free cores."""
AGAIN_SECONDS = 15.0
"""A phase that swallows the failure gets another one after this time."""
HARD_SECONDS = 60.0
"""How much longer a phase may hang in code that takes no signals."""

_standard_error = pytest.StashKey[TextIO]()


def pytest_configure(config: pytest.Config) -> None:
    """Let interrupts through, and keep the real standard error, which tests capture.

    A shell starts its background jobs with SIGINT ignored, and child processes inherit that.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "time_limit(seconds): seconds that each phase of the test may take")
    config.stash[_standard_error] = os.fdopen(os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2), "w")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what was opened."""
    config.stash[_standard_error].close()


@contextmanager
def limited(seconds: float, what: str, stacks: TextIO, hard: float = HARD_SECONDS) -> Iterator[None]:
    """Fail after some seconds, from the main thread; end the process when that does not help."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback(stacks)
        pytest.fail(f"{what} took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, fail)
    faulthandler.dump_traceback_later(seconds + hard, exit=True, file=stacks)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def _phase(item: pytest.Item, name: str) -> Generator[None, None, None]:
    marker = item.get_closest_marker("time_limit")
    seconds = float(marker.args[0]) if marker else SECONDS
    if threading.current_thread() is not threading.main_thread():
        yield  # signals arrive in the main thread alone
        return
    with limited(seconds, f"{name} of {item.nodeid}", item.config.stash[_standard_error]):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Limit the fixtures."""
    yield from _phase(item, "setup")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Limit the test itself."""
    yield from _phase(item, "call")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Limit what the fixtures undo."""
    yield from _phase(item, "teardown")
