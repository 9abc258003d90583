"""Threads for one kind of work, shared fairly between the callers that ask for it.

A pool of plain threads serves whoever came first, so one organization that asks often enough makes all
others wait. Here the waiting callers take turns, nobody holds all threads, and the number of those that
wait is bounded. All scheduling happens in the event loop; only the work itself runs in a thread.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect

from offerlog_infrastructure.http.problems import OVERLOADED, ProblemError

T = TypeVar("T")

_LOOK_SECONDS: Final = 1.0
"""How often a waiting request looks whether its client is still there."""


class FairThreads:
    """A few threads, at most `each` of them for one caller.

    The last free thread goes only to a caller that has none, so that a newcomer seldom has to wait for
    others.

    Args:
        at_once: The number of threads.
        each: How many of them one caller may hold.
        waiting: How many calls may wait in all.
        waiting_each: How many calls of one caller may wait.
    """

    def __init__(self, at_once: int, *, each: int, waiting: int, waiting_each: int) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._free = at_once
        self._at_once = at_once
        self._each = each
        self._most_waiting = waiting
        self._most_waiting_each = waiting_each
        self._running: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._waiting

    async def run(
        self, caller: str, work: Callable[[], T], is_gone: Callable[[], Awaitable[bool]] | None = None
    ) -> T:
        """Do work in a thread, once it is this caller's turn.

        Args:
            caller: Whose turn it takes: an organization, or a peer address where no key is known yet.
            work: What to do.
            is_gone: Asked every second of waiting; a client that has left gives up its place.

        Raises:
            Problem: 429 where this caller, 503 where everybody together has too many calls waiting.
            ClientDisconnect: The client left while the call waited.
        """
        await self._take(caller, is_gone)
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._give_back(caller)

    async def _take(self, caller: str, is_gone: Callable[[], Awaitable[bool]] | None) -> None:
        queue = self._queues.get(caller)
        if queue is None and self._may_run(caller):
            self._start(caller)
            return
        if queue is not None and len(queue) >= self._most_waiting_each:
            raise ProblemError(
                429,
                "rate-limited",
                f"{len(queue):,} calls like this one wait already; ask again when some have been answered",
                headers={"Retry-After": "1"},
            )
        if self._waiting >= self._most_waiting:
            raise ProblemError(503, "overloaded", OVERLOADED, headers={"Retry-After": "1"})
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(turn)
        self._waiting += 1
        try:
            await _until(turn, is_gone)
        except BaseException:
            if turn.done():  # its turn came in the same moment
                self._give_back(caller)
            else:
                self._leave_queue(caller, turn)
            raise

    def _may_run(self, caller: str) -> bool:
        running = self._running.get(caller, 0)
        if not self._free or running >= self._each:
            return False
        return self._free > 1 or self._at_once == 1 or not running

    def _start(self, caller: str) -> None:
        self._free -= 1
        self._running[caller] += 1

    def _give_back(self, caller: str) -> None:
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._call_next()

    def _call_next(self) -> None:
        """Start waiting calls, one caller after the other, as long as there are threads for them."""
        called = True
        while called and self._free:
            called = False
            for caller in list(self._queues):
                if self._may_run(caller):
                    queue = self._queues[caller]
                    turn = queue.popleft()
                    self._queues.move_to_end(caller)
                    self._forget_if_empty(caller)
                    self._waiting -= 1
                    self._start(caller)
                    turn.set_result(None)
                    called = True

    def _leave_queue(self, caller: str, turn: "asyncio.Future[None]") -> None:
        self._queues[caller].remove(turn)
        self._forget_if_empty(caller)
        self._waiting -= 1

    def _forget_if_empty(self, caller: str) -> None:
        if not self._queues[caller]:
            del self._queues[caller]


async def _until(turn: "asyncio.Future[None]", is_gone: Callable[[], Awaitable[bool]] | None) -> None:
    # `wait` leaves the future alone where the caller is cancelled, so that it stays in its queue until it
    # is removed.
    while not (await asyncio.wait({turn}, timeout=_LOOK_SECONDS if is_gone else None))[0]:
        if is_gone is not None and await is_gone():
            raise ClientDisconnect
