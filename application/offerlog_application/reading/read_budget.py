"""The limits of one read: how long it may take, and whether anybody still waits for its answer.

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
    """Nobody waits for the answer of a read any more."""

    def __init__(self) -> None:
        super().__init__("nobody waits for this answer any more")


class ReadBudget:
    """The time that one read may take, and a way to end it earlier; thread-safe.

    Args:
        seconds: The limit by the wall clock, from the first `active` on; None for no limit.
        within: Another budget, whose limit and whose cancelling also apply to this read.

    Attributes:
        seconds: The limit; of `within` if the read has no limit of its own.
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
        """Whether the read was called off."""
        return self._cancelled.is_set() or (self._within is not None and self._within.is_cancelled)

    def check(self) -> None:
        """Return while the read may go on.

        Raises:
            ReadCancelledError: It was called off.
            ReadTimeoutError: Its time is over.
        """
        if self._cancelled.is_set():
            raise ReadCancelledError
        if self._within is not None:
            self._within.check()
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ReadTimeoutError(self.seconds)

    def remaining(self) -> float | None:
        """Seconds that are left; None for no limit.

        Raises:
            ReadCancelledError: The read was called off.
            ReadTimeoutError: None are left.
        """
        self.check()
        left = None if self._within is None else self._within.remaining()
        if self._deadline is None:
            return left
        own = max(self._deadline - time.monotonic(), 0.001)
        return own if left is None else min(own, left)

    def cancel(self) -> None:
        """Call the read off and stop the statement that runs for it, if any; may be called again."""
        self._cancelled.set()
        with self._lock:
            for stop in self._stops:
                stop()

    @contextmanager
    def stoppable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Within the block, `cancel` also calls `stop`, from another thread and perhaps more than once.

        Raises:
            ReadCancelledError: The read was called off.
            ReadTimeoutError: Its time is over.
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
        """Within the block, this is the budget that `current_budget` returns."""
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
    """The budget of the read that runs now; None where nobody set one."""
    return _current.get()


def check_read() -> None:
    """Return while the read that runs now may go on.

    Raises:
        ReadCancelledError: It was called off.
        ReadTimeoutError: Its time is over.
    """
    (_current.get() or _UNLIMITED).check()
