"""A thread that does some work again and again, while a service is open."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.event_log import ClosedError

_log: Final = logging.getLogger(__name__)


class PeriodicThread:
    """Does its work every few seconds until `close`. Work that fails is logged, and done again in time.

    Args:
        name: The name of the thread.
        seconds: Seconds between two times, and before the first.
        work: The work. It may look at `is_closing`, or pause by `pause`, and end early.
        trouble: Words for the log when the work fails, with `%s` for the error.
    """

    def __init__(
        self, name: str, seconds: float, work: Callable[["PeriodicThread"], object], trouble: str
    ) -> None:
        self._seconds = seconds
        self._work = work
        self._trouble = trouble
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_closing(self) -> bool:
        """True once `close` has been called."""
        return self._closing.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until `close`; returns True if the work shall end."""
        return self._closing.wait(seconds)

    def close(self, seconds: float | None = None) -> None:
        """Stop after the step that is being done, and wait for its end; at most so many seconds if given."""
        self._closing.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self.pause(self._seconds):
            try:
                self._work(self)
            except ClosedError:  # the service closes: what is due stays due, for the next process
                return
            except Exception as error:  # noqa: BLE001 - what is due stays due; the next time is soon
                if not self.is_closing:
                    _log.warning(self._trouble, error)
