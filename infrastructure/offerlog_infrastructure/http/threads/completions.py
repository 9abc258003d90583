"""Results of the writer's thread in the event loop: one wake-up for a whole group."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Completions:
    """Lets coroutines of one event loop wait for futures that other threads complete.

    `asyncio.wrap_future` wakes the loop once for each future. The writer completes hundreds of futures at a
    time, and one wake-up is enough for all of them.
    """

    def __init__(self) -> None:
        self._completed: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._is_scheduled = False

    async def wait_for(self, future: "Future[T]") -> T:
        """Wait for a future and return its result.

        Raises:
            Exception: The error that the future holds.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(partial(self._complete, loop, waiter))
        return await waiter

    def _complete(
        self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[Any]", done: "Future[Any]"
    ) -> None:
        self._completed.append((waiter, done))
        if not self._is_scheduled:
            self._is_scheduled = True
            with suppress(RuntimeError):  # the loop has been closed, so that nobody waits
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_scheduled = False  # first: a future that completes from here on schedules another call
        while self._completed:
            waiter, done = self._completed.popleft()
            if waiter.done():
                continue  # its request has ended
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)
