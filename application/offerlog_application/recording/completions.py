"""Results of the writer's thread in event loops: one wake-up of a loop for a whole group."""

import asyncio
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from offerlog_application.recording.pending_answer import PendingAnswer

T = TypeVar("T")


class _Arrivals:
    """The answers that one event loop has not handed on yet."""

    __slots__ = ("_completed", "_is_scheduled")

    def __init__(self) -> None:
        self._completed: deque[tuple[asyncio.Future[Any], PendingAnswer[Any]]] = deque()
        self._is_scheduled = False

    def complete(
        self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[Any]", done: PendingAnswer[Any]
    ) -> None:
        """Note an answer, on any thread; wake the loop if it is not about to wake."""
        self._completed.append((waiter, done))
        if not self._is_scheduled:
            self._is_scheduled = True
            with suppress(RuntimeError):  # the loop has been closed, so that nobody waits
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_scheduled = False  # first: an answer that comes from here on schedules another call
        while self._completed:
            waiter, done = self._completed.popleft()
            if waiter.done():
                continue  # whoever waited has gone
            if done.cancelled():
                waiter.cancel()
            elif (error := done.exception(0)) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result(0))


class Completions:
    """Lets coroutines wait for pending answers; for any number of event loops.

    `asyncio.wrap_future` wakes the loop once for each future. The writer answers hundreds of submissions at a
    time, and one wake-up is enough for all of them.
    """

    def __init__(self) -> None:
        self._arrivals: WeakKeyDictionary[asyncio.AbstractEventLoop, _Arrivals] = WeakKeyDictionary()
        self._lock = threading.Lock()

    async def wait_for(self, pending: PendingAnswer[T]) -> T:
        """Wait for an answer and return it. Cancelling the wait does not cancel the submission.

        Raises:
            CancelledError: The submission was cancelled.
            Exception: The error that came instead of the answer.
        """
        loop = asyncio.get_running_loop()
        arrivals = self._arrivals.get(loop)
        if arrivals is None:
            with self._lock:
                arrivals = self._arrivals.setdefault(loop, _Arrivals())
        waiter: asyncio.Future[T] = loop.create_future()
        pending.add_done_callback(partial(arrivals.complete, loop, waiter))
        return await waiter
