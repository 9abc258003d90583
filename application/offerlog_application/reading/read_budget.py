"""Time limit and cancellation of one read.

A read runs in a thread that nothing can end from outside. So whoever starts it gives it a `ReadBudget`, and
the read asks the budget between its steps. While a statement runs in the store, the budget holds the means to
stop that statement.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final

from offerlog_domain.errors import OfferlogError


class ReadTimeoutError(OfferlogError):
    """A read took longer than it may; nothing was changed.

    Attributes:
        seconds: The limit; None where the store's own limit ended the read.
    """

    def __init__(self, seconds: float | None = None) -> None:
        after = "" if seconds is None else f" after {seconds:g} s"
        super().__init__(
            f"the read was ended{after} as it takes too long: ask for less, or for a shorter time"
        )
        self.seconds = seconds


class ReadCancelledError(OfferlogError):
    """The read was cancelled because its caller no longer waits."""

    def __init__(self) -> None:
        super().__init__("nobody waits for this answer any more")


class ReadBudget:
    """The time that one read may take, and a way to end it earlier; thread-safe.

    Args:
        seconds: The limit, counted from the first entry of `active`; None for no limit.
        within: Another budget, whose limit and whose cancelling also apply to this read.

    Attributes:
        seconds: The limit, or that of `within` if this read has none; None for no limit.
    """

    def __init__(self, seconds: float | None, *, within: "ReadBudget | None" = None) -> None:
        self.seconds: float | None = within.seconds if seconds is None and within is not None else seconds
        self._own_seconds = seconds
        self._within = within
        self._deadline: float | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []

    @property
    def is_cancelled(self) -> bool:
        """True if the read was cancelled."""
        return self._cancelled.is_set() or (self._within is not None and self._within.is_cancelled)

    def check(self) -> None:
        """Raise if the read was cancelled or its time limit is exceeded.

        Raises:
            ReadCancelledError: It was cancelled.
            ReadTimeoutError: The time limit is exceeded.
        """
        if self._cancelled.is_set():
            raise ReadCancelledError
        if self._within is not None:
            self._within.check()
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ReadTimeoutError(self.seconds)

    def remaining(self) -> float | None:
        """Return the remaining seconds; None means no limit.

        Raises:
            ReadCancelledError: The read was cancelled.
            ReadTimeoutError: No time remains.
        """
        self.check()
        left = None if self._within is None else self._within.remaining()
        if self._deadline is None:
            return left
        own = max(self._deadline - time.monotonic(), 0.001)
        return own if left is None else min(own, left)

    def cancel(self) -> None:
        """Cancel the read and stop the statement that runs for it, if any; may be called again."""
        self._cancelled.set()
        with self._lock:
            for stop in self._stops:
                stop()

    @contextmanager
    def stoppable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Register `stop` for the block: `cancel` calls it, possibly from another thread and more than once.

        Raises:
            ReadCancelledError: The read was cancelled.
            ReadTimeoutError: The time limit is exceeded.
        """
        self.check()
        with self._lock:
            self._stops.append(stop)
        try:
            with nullcontext() if self._within is None else self._within.stoppable(stop):
                yield
        finally:
            with self._lock:  # waits for a `stop` under way
                self._stops.remove(stop)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this the current budget for the block; its time counts from the first entry."""
        if self._own_seconds is not None and self._deadline is None:
            self._deadline = time.monotonic() + self._own_seconds
        token = _current.set(self)
        try:
            self.check()
            yield
        finally:
            _current.reset(token)


_current: ContextVar[ReadBudget | None] = ContextVar("current_budget", default=None)
_UNLIMITED: Final = ReadBudget(None)


def current_budget() -> ReadBudget | None:
    """Return the budget of the current read; None if none is set."""
    return _current.get()


def check_read() -> None:
    """Return while the read that runs now may go on.

    Raises:
        ReadCancelledError: It was cancelled.
        ReadTimeoutError: The time limit is exceeded.
    """
    (_current.get() or _UNLIMITED).check()
