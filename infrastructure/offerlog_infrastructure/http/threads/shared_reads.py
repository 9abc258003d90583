"""A value that one thread reads for many callers, at most a few times a second."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from anyio import CapacityLimiter, to_thread

from offerlog_application.ports.event_log import StoreUnavailableError

T = TypeVar("T")


class SharedRead(Generic[T]):
    """One read of the store, shared by all callers while it is under way or its result is fresh.

    Args:
        read: Reads the value, in a separate thread.
        fresh_seconds: Seconds from the beginning of a read in which its result is used again.
        patience_seconds: Most seconds that a caller waits for a read.
    """

    def __init__(
        self, read: Callable[[], T], *, fresh_seconds: float, patience_seconds: float = 30.0
    ) -> None:
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._patience_seconds = patience_seconds
        self._limiter = CapacityLimiter(1)
        self._began = 0.0
        self._reading: asyncio.Task[T] | None = None

    async def now(self) -> T:
        """Return the value, at most `fresh_seconds` old.

        Raises:
            StoreUnavailableError: The read did not end in time, or the store cannot be reached.
        """
        reading = self._reading
        if reading is None or (reading.done() and self._is_stale(reading)):
            self._began = time.monotonic()
            reading = self._reading = asyncio.create_task(self._run())
            reading.add_done_callback(_retrieve_error)
        elif reading.done():
            return reading.result()
        try:
            return await asyncio.wait_for(asyncio.shield(reading), self._patience_seconds)
        except TimeoutError:
            raise StoreUnavailableError(f"no answer within {self._patience_seconds:g} s") from None

    def _is_stale(self, reading: "asyncio.Task[T]") -> bool:
        failed = reading.cancelled() or reading.exception() is not None
        return failed or time.monotonic() - self._began > self._fresh_seconds

    async def _run(self) -> T:
        return await to_thread.run_sync(self._read, limiter=self._limiter)


def _retrieve_error(reading: "asyncio.Task[object]") -> None:
    """Retrieve an error that nobody waits for, so that asyncio does not log it as never retrieved."""
    if not reading.cancelled():
        reading.exception()
