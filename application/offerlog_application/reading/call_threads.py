"""Threads for the calls of coroutines. A call that nobody waits for is stopped, and so are all at the end."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.reading.read_budget import ReadBudget, ReadCancelledError, current_budget

T = TypeVar("T")


class Kind(StrEnum):
    """The kinds of calls. Each kind has a pool of threads; the value is a part of the threads' names.

    Attributes:
        LOOK_UP: Small reads, which page views wait for.
        READ: Reports, lists and histories.
        WRITE: Reading many signals before they go to the writer.
        STOP: Stopping calls that nobody waits for.
    """

    LOOK_UP = "look-up"
    READ = "read"
    WRITE = "write"
    STOP = "stop"


_THREADS: Final = 4
"""Threads of each kind. Those of `READ` are fewer than the store's connections for reports and lists."""

_SECONDS: Final = 30.0
"""Time limit of a call that has no other, in seconds; as of a statement without a `ReadBudget`."""

_AGAIN_SECONDS: Final = 0.25
"""Seconds after which a call is stopped again: between two statements there is nothing to stop."""

_log = logging.getLogger(__name__)


class CallThreads:
    """Small pools of threads, started when they are needed; thread-safe."""

    def __init__(self) -> None:
        self._pools: dict[Kind, ThreadPoolExecutor] = {}
        self._running: dict[Future[Any], ReadBudget] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    async def run(self, kind: Kind, call: Callable[[], T]) -> T:
        """Run a call in a thread, in the caller's context, for 30 s or within the caller's `ReadBudget`.

        Raises:
            ReadTimeoutError: The time is over.
            ReadCancelledError: The caller's `ReadBudget` was cancelled.
            ClosedError: The service has been closed.
        """
        return await self.run_within(None if current_budget() else _SECONDS, kind, call)

    async def run_within(self, seconds: float | None, kind: Kind, call: Callable[[], T]) -> T:
        """As `run`, with a time limit in seconds; None for the caller's `ReadBudget` only."""
        budget = ReadBudget(seconds, within=current_budget())

        def call_within_budget() -> T:
            if self._is_closed:  # meanwhile, while the call waited for a thread
                raise ClosedError
            with budget.active():
                return call()

        future = self._start(kind, call_within_budget, budget)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._stop(future, budget)
            raise
        except ReadCancelledError as error:
            if self._is_closed:
                raise ClosedError from error
            raise

    def close(self) -> None:
        """Stop all calls, with `ClosedError` for those that wait for them, and end the threads."""
        with self._lock:
            self._is_closed = True
            pools, running = list(self._pools.values()), dict(self._running)
        if running:
            with ThreadPoolExecutor(len(Kind) * _THREADS, "offerlog-aio-close") as stopping:
                for _ in stopping.map(_stop_call, running.keys(), running.values()):
                    pass
        for pool in pools:
            pool.shutdown()

    def _start(self, kind: Kind, call: Callable[[], T], budget: ReadBudget | None = None) -> Future[T]:
        with self._lock:
            if self._is_closed:
                raise ClosedError
            if kind not in self._pools:
                self._pools[kind] = ThreadPoolExecutor(_THREADS, f"offerlog-aio-{kind}")
            future = self._pools[kind].submit(copy_context().run, call)
            if budget is not None:
                self._running[future] = budget
        if budget is not None:
            future.add_done_callback(self._forget)
        return future

    def _forget(self, future: Future[T]) -> None:
        with self._lock:
            self._running.pop(future, None)

    def _stop(self, future: Future[T], budget: ReadBudget) -> None:
        """Stop a call from a thread: the store is asked to stop its statement, which may take a moment."""
        if future.done():
            return
        with suppress(ClosedError):  # `close` stops every call
            self._start(Kind.STOP, partial(_stop_call, future, budget)).add_done_callback(_log_error)


def _stop_call(future: Future[T], budget: ReadBudget) -> None:
    while not future.done():
        budget.cancel()
        wait([future], timeout=_AGAIN_SECONDS)


def _log_error(stopped: Future[None]) -> None:
    if (error := stopped.exception()) is not None:
        _log.warning("a call that nobody waits for could not be stopped: %s", error)
