"""Threads for one kind of work, shared fairly between callers.

A plain pool of threads serves its queue in order, so one organization with many calls makes all others wait.
Here the waiting callers take turns, no caller holds all threads, and the number of waiting calls is bounded.
All scheduling happens in the event loop; only the work itself runs in a thread.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect

from offerlog_infrastructure.http.problems import OVERLOADED, ProblemError

T = TypeVar("T")

_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks that the client of a waiting call is still connected."""


class FairThreads:
    """A few threads, at most `each` of them for one caller.

    The last free thread goes only to a caller without a thread. So a new caller seldom has to wait.

    Args:
        at_once: Number of threads.
        each: Most threads of one caller.
        waiting: Most waiting calls.
        waiting_each: Most waiting calls of one caller.

    Attributes:
        each: As above.
    """

    def __init__(self, at_once: int, *, each: int, waiting: int, waiting_each: int) -> None:
        self._make_more = partial(FairThreads, at_once, each=each, waiting=waiting, waiting_each=waiting_each)
        self._of_servers: dict[int | None, FairThreads] = {}
        self._limiter = CapacityLimiter(at_once)
        self._free = at_once
        self._at_once = at_once
        self.each = each
        self._most_waiting = waiting
        self._most_waiting_each = waiting_each
        self._running: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    def of_servers(self, servers: Collection[int]) -> "FairThreads":
        """Return as many threads for work on some servers: one that hangs holds up its own work alone.

        Args:
            servers: The numbers of the servers. The threads for the home, or the only server, are these.
        """
        if not any(servers):
            return self
        name = next(iter(servers)) if len(servers) == 1 else None
        found = self._of_servers.get(name)
        if found is None:
            found = self._of_servers[name] = self._make_more()
        return found

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a thread."""
        return self._waiting

    async def run(
        self, caller: str, work: Callable[[], T], is_gone: Callable[[], Awaitable[bool]] | None = None
    ) -> T:
        """Run work in a thread, once it is this caller's turn.

        Args:
            caller: The caller whose turn is taken: an organization, or a peer address before the key is
                known.
            work: The work.
            is_gone: Asked every second while the call waits; a call whose client has disconnected is dropped.

        Raises:
            ProblemError: 429, this caller has too many waiting calls; 503, all callers together have.
            ClientDisconnect: The client disconnected while the call waited.
        """
        return await self.run_chosen(caller, lambda: work, is_gone)

    async def run_chosen(
        self,
        caller: str,
        choose: Callable[[], Callable[[], T]],
        is_gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> T:
        """As `run`, with work that is chosen, in the event loop, once it is this caller's turn."""
        await self._take(caller, is_gone)
        try:
            return await to_thread.run_sync(choose(), limiter=self._limiter)
        finally:
            self._release(caller)

    def check_room(self, waiting_each: int, waiting: int) -> None:
        """Check that one more call may wait.

        Args:
            waiting_each: Calls of the same caller that wait.
            waiting: Calls that wait in all.

        Raises:
            ProblemError: 429, the caller has too many waiting calls; 503, all callers together have.
        """
        if waiting_each >= self._most_waiting_each:
            raise ProblemError(
                "rate-limited",
                f"{waiting_each:,} calls like this one wait already; ask again when some have been answered",
                headers={"Retry-After": "1"},
            )
        if waiting >= self._most_waiting:
            raise ProblemError("overloaded", OVERLOADED, headers={"Retry-After": "1"})

    async def _take(self, caller: str, is_gone: Callable[[], Awaitable[bool]] | None) -> None:
        queue = self._queues.get(caller)
        if queue is None and self._may_run(caller):
            self._start(caller)
            return
        self.check_room(0 if queue is None else len(queue), self._waiting)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(turn)
        self._waiting += 1
        try:
            await _wait_for_turn(turn, is_gone)
        except BaseException:
            if turn.done():  # its turn came at the same moment
                self._release(caller)
            else:
                self._leave_queue(caller, turn)
            raise

    def _may_run(self, caller: str) -> bool:
        running = self._running.get(caller, 0)
        if not self._free or running >= self.each:
            return False
        return self._free > 1 or self._at_once == 1 or not running

    def _start(self, caller: str) -> None:
        self._free -= 1
        self._running[caller] += 1

    def _release(self, caller: str) -> None:
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._call_next()

    def _call_next(self) -> None:
        """Start waiting calls, one caller after the other, while threads are free for them."""
        has_started = True
        while has_started and self._free:
            has_started = False
            for caller in list(self._queues):
                if self._may_run(caller):
                    queue = self._queues[caller]
                    turn = queue.popleft()
                    self._queues.move_to_end(caller)
                    self._forget_if_empty(caller)
                    self._waiting -= 1
                    self._start(caller)
                    turn.set_result(None)
                    has_started = True

    def _leave_queue(self, caller: str, turn: "asyncio.Future[None]") -> None:
        self._queues[caller].remove(turn)
        self._forget_if_empty(caller)
        self._waiting -= 1

    def _forget_if_empty(self, caller: str) -> None:
        if not self._queues[caller]:
            del self._queues[caller]


async def _wait_for_turn(turn: "asyncio.Future[None]", is_gone: Callable[[], Awaitable[bool]] | None) -> None:
    # If the caller is cancelled, `wait` does not cancel the future: it stays in its queue until it is
    # removed.
    while not (await asyncio.wait({turn}, timeout=_CHECK_SECONDS if is_gone else None))[0]:
        if is_gone is not None and await is_gone():
            raise ClientDisconnect
