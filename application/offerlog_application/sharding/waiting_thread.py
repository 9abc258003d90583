"""A thread for work that waits, started at the first need; what still waits at the end gets an error."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Condition, Thread
from typing import Generic, Protocol, TypeVar

from offerlog_application.ports.event_log import ClosedError


class Waiting(Protocol):
    """Work that waits."""

    @property
    def fail(self) -> Callable[[BaseException], None]:
        """Called with an error, in any thread, in place of the work."""


W = TypeVar("W", bound=Waiting)


class WaitingThread(ABC, Generic[W]):
    """The base of a queue with one thread; thread-safe.

    Args:
        name: The name of the thread.
        close_seconds: How long `close` waits for the thread, which may be asking a shard that hangs.
    """

    def __init__(self, name: str, close_seconds: float) -> None:
        self._name = name
        self._close_seconds = close_seconds
        self._changed = Condition()
        self._waiting: list[W] = []
        self._thread: Thread | None = None
        self._is_closed = False

    def close(self) -> None:
        """End the thread; what waits gets an error."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread, waiting, self._waiting = self._thread, self._waiting, []
        for one in waiting:
            one.fail(ClosedError())
        if thread is not None:
            thread.join(self._close_seconds)

    def _put(self, one: W) -> None:
        """Let work wait; it gets an error if this is closed."""
        with self._changed:
            if not self._is_closed:
                self._waiting.append(one)
                self._changed.notify()
                if self._thread is None:
                    self._thread = Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()
                return
        one.fail(ClosedError())

    @abstractmethod
    def _run(self) -> None:
        """Do what waits, until this is closed."""
