"""From the writer's thread into the event loop: a whole group of answers with one wake-up."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Completions:
    """Lets coroutines of one event loop wait for futures that other threads complete.

    `asyncio.wrap_future` wakes the loop once for each future. The writer completes hundreds at a time, and
    the loop, once awake, can take them all.
    """

    def __init__(self) -> None:
        self._arrived: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._called = False

    async def wait_for(self, future: "Future[T]") -> T:
        """The future's result.

        Raises:
            Exception: What the future holds.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(partial(self._arrive, loop, waiter))
        return await waiter

    def _arrive(
        self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[Any]", done: "Future[Any]"
    ) -> None:
        self._arrived.append((waiter, done))
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._called = False  # before looking: what comes after the look calls again
        while self._arrived:
            waiter, done = self._arrived.popleft()
            if waiter.done():
                continue  # its request is gone
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)
