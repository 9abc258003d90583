"""Waiting until the projections show a position of the log."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Protocol

from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.positions import LogPosition, split_position
from offerlog_application.ports.projections import Projector
from offerlog_application.ports.read_models import ProjectionsBehindError
from offerlog_application.ports.waiting import WaitAnnouncer
from offerlog_domain.errors import ArgumentError

_AGAIN_SECONDS: Final = 0.2
"""Seconds between two questions to a store that cannot be reached."""

_LOOK_SECONDS: Final = 0.01
"""Seconds until the position is read again; sooner if this process's projector moves."""

_WHAT: Final = "the projections to show what was recorded"
"""Names the wait in announcements."""


@dataclass(slots=True)
class _PositionWait:
    """A wait for one position; its time limit starts when it is made.

    Attributes:
        position: The position.
        timeout: Seconds without any progress after which the wait fails.
        future: Gets None when the position is shown, else the error.
    """

    position: int
    timeout: float
    future: Future[None] = field(default_factory=Future)
    _reached: int = -1
    _since: float = field(default_factory=time.monotonic)

    def is_over(self, shown: int | StoreUnavailableError, trouble: Exception | None) -> bool:
        """Return whether the position is shown.

        Args:
            shown: The position of the projections, or why it could not be read.
            trouble: What stops the projector, if anything does.

        Raises:
            ProjectionsBehindError: There was no progress for `timeout` seconds.
            StoreUnavailableError: The time is over, and the store cannot be reached.
        """
        if not isinstance(shown, StoreUnavailableError):
            if shown >= self.position:
                return True
            if shown > self._reached:
                # The first look is not progress: the time counts from the call.
                if self._reached >= 0:
                    self._since = time.monotonic()
                self._reached = shown
        if time.monotonic() - self._since <= self.timeout:
            return False
        if isinstance(shown, StoreUnavailableError):
            raise shown
        raise ProjectionsBehindError(self.position, self._reached, trouble)

    def end_if_over(self, shown: int | StoreUnavailableError, trouble: Exception | None) -> None:
        """Give the future its result or its error if there is one by now."""
        try:
            is_over = self.is_over(shown, trouble)
        except (ProjectionsBehindError, StoreUnavailableError) as error:
            self.fail(error)
        else:
            if is_over and self.future.set_running_or_notify_cancel():
                self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Give the future an error, unless it was cancelled."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Waits(Protocol):
    """Waits until the projections show positions; thread-safe. `PositionWaits` says what each method does."""

    def wait(self, position: LogPosition, timeout: float) -> None:
        """Wait in the calling thread."""

    def submit(self, position: LogPosition, timeout: float) -> Future[None]:
        """Wait as `wait` does, without a thread of the caller; the future gets None, or the error."""

    def close(self) -> None:
        """Fail all waits with `ClosedError`."""


class PositionWaits:
    """Waits until the projections show positions; thread-safe.

    A store that cannot be reached meanwhile is waited for as well: what was recorded stays recorded.

    Args:
        shown: Returns the position that all projections show; raises `StoreUnavailableError`.
        projector: This process's projector; None where the process does not run one.
        announce: Makes the waits that are announced once they last.
    """

    def __init__(
        self, shown: Callable[[], int], projector: Projector | None, announce: WaitAnnouncer
    ) -> None:
        self._shown = shown
        self._projector = projector
        self._announce = announce
        self._lock = threading.Lock()
        self._waits: list[_PositionWait] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def wait(self, position: LogPosition, timeout: float) -> None:
        """Wait in the calling thread.

        Args:
            position: The position.
            timeout: Seconds without any progress.

        Raises:
            ArgumentError: The position is one of several logs.
            ProjectionsBehindError: There was no progress for `timeout` seconds.
            StoreUnavailableError: The store could not be reached for `timeout` seconds.
            ClosedError: The service has been closed.
        """
        self._wake()
        wait = _PositionWait(_check_single(position), timeout)
        with self._announce(_WHAT, timeout) as announced:
            while not wait.is_over(shown := self._look(), self._trouble()):
                if self._is_closed:
                    raise ClosedError
                announced.reason = self._reason(shown)
                self._pause(shown)

    def submit(self, position: LogPosition, timeout: float) -> Future[None]:
        """Wait as `wait` does; the future gets None or the error. One thread serves all of these waits.

        Raises:
            ArgumentError: The position is one of several logs.
            ClosedError: The service has been closed.
        """
        self._wake()
        wait = _PositionWait(_check_single(position), timeout)
        with self._lock:
            if self._is_closed:
                raise ClosedError
            self._waits.append(wait)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="offerlog-aio-wait", daemon=True)
                self._thread.start()
        return wait.future

    def close(self) -> None:
        """Fail all waits with `ClosedError`, and end the thread of the submitted ones."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _serve(self) -> None:
        """End the submitted waits as their positions are shown, until none is left."""
        with self._announce(_WHAT) as announced:
            while waits := self._remaining():
                try:
                    shown = self._look()
                except Exception as error:  # noqa: BLE001 - every caller that waits gets it
                    for wait in waits:
                        wait.fail(error)
                    continue
                trouble = self._trouble()
                for wait in waits:
                    wait.end_if_over(shown, trouble)
                announced.reason = self._reason(shown)
                self._pause(shown)

    def _remaining(self) -> list[_PositionWait]:
        """Return the submitted waits that last; without any, the thread ends."""
        with self._lock:
            self._waits = [wait for wait in self._waits if not wait.future.done()]
            if self._is_closed:
                for wait in self._waits:
                    wait.fail(ClosedError())
                self._waits = []
            if not self._waits:
                self._thread = None
            return self._waits[:]

    def _look(self) -> int | StoreUnavailableError:
        try:
            return self._shown()
        except StoreUnavailableError as error:
            return error

    def _trouble(self) -> Exception | None:
        return None if self._projector is None else self._projector.error

    def _reason(self, shown: int | StoreUnavailableError) -> str:
        """Say why a wait is not over."""
        return str(shown if isinstance(shown, StoreUnavailableError) else self._trouble() or "")

    def _wake(self) -> None:
        if self._projector is not None:
            self._projector.wake()

    def _pause(self, shown: int | StoreUnavailableError) -> None:
        if isinstance(shown, StoreUnavailableError):
            time.sleep(_AGAIN_SECONDS)
        elif self._projector is None:
            time.sleep(_LOOK_SECONDS)
        else:
            self._projector.await_move(_LOOK_SECONDS)


def _check_single(position: LogPosition) -> int:
    """Return the position in the one log.

    Raises:
        ArgumentError: It is one of several logs.
    """
    if len(split_position(position)) != 1:
        raise ArgumentError(
            "position",
            f"the position {position} is one of several servers, and this service has one store: wait by a"
            " service over these servers",
        )
    return split_position(position)[0]
