"""The pending answer of a submission: a future that does not need a condition variable.

The writer answers hundreds of submissions at a time, and most callers wait for one answer each. A
`concurrent.futures.Future` costs each of them a condition, a lock and several notifications. A
`PendingAnswer` has the same methods with the same meaning, and takes a lock only where a thread waits.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

WAITING: Final = 0
"""The writer has not begun with the submission; it can be cancelled."""

BEGUN: Final = 1
"""The writer has begun with the submission."""

CANCELLED: Final = 2
"""The caller has cancelled the submission."""

DONE: Final = 3
"""The answer, or an error, is there. The order counts: from `CANCELLED` on, the submission has ended."""

_log = logging.getLogger(__name__)


class PendingAnswer(Generic[T]):
    """The answer to a submission, which comes once the whole submission is durable; thread-safe.

    The methods mean what those of `concurrent.futures.Future` mean. `as_future` makes such a future, for
    libraries that need one.

    The state changes by single assignments. A callback is taken off the list before it is called. So it is
    called once, by the thread that answers or by the thread that adds it.
    """

    __slots__ = ("_callbacks", "_error", "_result", "_state")
    _error: BaseException | None
    _result: T

    def __init__(self) -> None:
        self._state = WAITING
        self._callbacks: list[Callable[[PendingAnswer[T]], object]] = []

    def result(self, timeout: float | None = None) -> T:
        """Return the answer, once it is there.

        Args:
            timeout: Seconds to wait; None waits without limit.

        Raises:
            TimeoutError: The answer is not there in time.
            CancelledError: The submission was cancelled.
            Exception: The error that came instead of the answer.
        """
        if self._state < CANCELLED:
            self._wait(timeout)
        if self._state == DONE:
            if (error := self._error) is not None:
                raise error
            return self._result
        raise CancelledError

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error that came instead of the answer; None if the answer came.

        Args:
            timeout: Seconds to wait; None waits without limit.

        Raises:
            TimeoutError: Neither is there in time.
            CancelledError: The submission was cancelled.
        """
        if self._state < CANCELLED:
            self._wait(timeout)
        if self._state == DONE:
            return self._error
        raise CancelledError

    def done(self) -> bool:
        """Return True if the answer or an error is there, or the submission was cancelled."""
        return self._state >= CANCELLED

    def running(self) -> bool:
        """Return True if the writer has begun with the submission and has not answered yet."""
        return self._state == BEGUN

    def cancelled(self) -> bool:
        """Return True if the submission was cancelled."""
        return self._state == CANCELLED

    def cancel(self) -> bool:
        """Cancel the submission, unless the writer has begun with it or has answered.

        Returns:
            True if the submission is cancelled, now or before.
        """
        if self._state == WAITING:
            self._state = CANCELLED
            self.call_back()
        return self._state == CANCELLED

    def add_done_callback(self, callback: "Callable[[PendingAnswer[T]], object]") -> None:
        """Call a function with this object once the submission has ended; at once if it has ended.

        The function runs on the thread that answers or cancels, and should be quick. An `Exception` that it
        raises is logged.
        """
        self._callbacks.append(callback)
        if self._state >= CANCELLED:
            self.call_back()

    def set_result(self, result: T) -> None:
        """Set the answer. Only the writer calls this."""
        self._error = None
        self._result = result
        self._state = DONE
        if self._callbacks:
            self.call_back()

    def set_exception(self, error: BaseException) -> None:
        """Set the error that comes instead of the answer. Only the writer calls this."""
        self._error = error
        self._state = DONE
        self.call_back()

    def call_back(self) -> None:
        """Call every callback that no other thread has taken.

        Raises:
            BaseException: The last one of a callback that is not an `Exception`, such as `KeyboardInterrupt`.
        """
        to_raise: BaseException | None = None
        while self._callbacks:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:  # another thread was faster
                break
            try:
                callback(self)
            except Exception:  # noqa: BLE001 - belongs to whoever gave the callback
                _log.exception("a callback of a pending answer failed")
            except BaseException as error:  # noqa: BLE001 - the other callbacks come first
                to_raise = error
        if to_raise is not None:
            raise to_raise

    def _wait(self, timeout: float | None) -> None:
        """Wait until the submission has ended.

        Raises:
            TimeoutError: The submission has not ended in time.
        """
        waiting = threading.Lock()
        waiting.acquire()

        def wake(_: PendingAnswer[T]) -> None:
            waiting.release()

        self.add_done_callback(wake)
        seconds = -1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)
        is_awake = False
        try:
            is_awake = waiting.acquire(timeout=seconds)
        finally:
            if not is_awake:
                with suppress(ValueError):  # `wake` has just been called
                    self._callbacks.remove(wake)
        if not is_awake and self._state < CANCELLED:
            raise TimeoutError


class _AnswerFuture(Future[Any]):
    """A future that a pending answer completes. Cancelling the future cancels the submission."""

    def __init__(self, pending: PendingAnswer[Any]) -> None:
        super().__init__()
        self._pending: PendingAnswer[Any] | None = pending

    def cancel(self) -> bool:
        """Cancel the submission, if the writer has not begun with it."""
        pending = self._pending
        return self.cancelled() if pending is None else pending.cancel()

    def running(self) -> bool:
        """Return True if the writer has begun with the submission and has not answered yet."""
        pending = self._pending
        return pending is not None and pending.running()

    def complete(self, pending: PendingAnswer[Any]) -> None:
        """Take over the answer, the error or the cancellation."""
        if pending.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif (error := pending.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(pending.result())
        self._pending = None  # its texts are not kept as long as the future


def as_future(pending: PendingAnswer[T]) -> Future[T]:
    """Make a future that gets the answer; cancelling the future cancels the submission."""
    future = _AnswerFuture(pending)
    pending.add_done_callback(future.complete)
    return future
