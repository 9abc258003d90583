"""Threads in which callers take turns: nobody holds them all, and nobody waits without end."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.threads.fair_threads import FairThreads


class Work:
    """Calls that take until they are let go; counts who is at work."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.done: list[str] = []
        self.go = threading.Event()
        self._lock = threading.Lock()

    def of(self, caller: str) -> None:
        """One call."""
        with self._lock:
            self.running[caller] += 1
        assert self.go.wait(10)
        with self._lock:
            self.running[caller] -= 1
            self.done.append(caller)


def threads(at_once: int = 4, each: int = 2, waiting: int = 100, waiting_each: int = 50) -> FairThreads:
    """A pool."""
    return FairThreads(at_once, each=each, waiting=waiting, waiting_each=waiting_each)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, for ten seconds at most."""
    asyncio.run(asyncio.wait_for(test, 10))


async def reached(state: Callable[[], bool]) -> None:
    """Wait until something is the case; the test's time limit ends it."""
    while not state():  # noqa: ASYNC110 - threads change it, and tell nobody
        await asyncio.sleep(0.01)


def test_one_caller_does_not_hold_all_threads() -> None:
    """Newcomers find one that is free, also the second of them."""

    async def test() -> None:
        # given one caller with many calls
        pool, work = threads(), Work()
        flood = [asyncio.create_task(pool.run("alpha", lambda: work.of("alpha"))) for _ in range(40)]
        await reached(lambda: work.running["alpha"] == 2 and pool.waiting == 38)
        # when others come, one after the other
        others = [
            asyncio.create_task(pool.run("beta", lambda: work.of("beta"))),
            asyncio.create_task(pool.run("gamma", lambda: work.of("gamma"))),
        ]
        await reached(lambda: len(work.running) == 3)
        # then each of them is at work at once
        assert dict(work.running) == {"alpha": 2, "beta": 1, "gamma": 1}
        work.go.set()
        await asyncio.gather(*flood, *others)
        assert Counter(work.done) == {"alpha": 40, "beta": 1, "gamma": 1}

    run(test())


def test_waiting_callers_take_turns() -> None:
    """A queue of one caller is not before the first call of another."""

    async def test() -> None:
        # given one thread, and a caller whose calls wait in numbers before another caller comes
        pool, order = threads(at_once=1, each=1), []
        first = asyncio.create_task(pool.run("alpha", lambda: order.append("alpha")))
        flood = [asyncio.create_task(pool.run("alpha", lambda: order.append("alpha"))) for _ in range(20)]
        other = asyncio.create_task(pool.run("beta", lambda: order.append("beta")))
        # when all are done
        await asyncio.gather(first, *flood, other)
        # then the other did not wait for all of them
        assert order.index("beta") <= 2

    run(test())


def test_too_many_that_wait_are_sent_away() -> None:
    """With the time to ask again; 429 for the caller's own number, 503 for all together."""

    async def test() -> None:
        # given all threads taken and as many calls waiting as may
        pool, work = threads(at_once=2, each=1, waiting=3, waiting_each=2), Work()
        taken = [asyncio.create_task(pool.run(name, lambda: work.of(""))) for name in "aaabb"]
        await reached(lambda: work.running[""] == 2 and pool.waiting == 3)
        # when one more comes, then the caller with too many is told so, and others that all is full
        with pytest.raises(ProblemError) as too_many:
            await pool.run("a", lambda: None)
        with pytest.raises(ProblemError) as full:
            await pool.run("c", lambda: None)
        assert (too_many.value.status, full.value.status) == (429, 503)
        assert too_many.value.headers == full.value.headers == {"Retry-After": "1"}
        work.go.set()
        await asyncio.gather(*taken)

    run(test())


def test_who_leaves_gives_up_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is gone, or the request is cancelled."""
    monkeypatch.setattr("offerlog_infrastructure.http.threads.fair_threads._CHECK_SECONDS", 0.05)

    async def gone() -> bool:
        return True

    async def test() -> None:
        # given a thread that is taken, and calls that wait for it
        pool, work = threads(at_once=1, each=1), Work()
        taken = asyncio.create_task(pool.run("a", lambda: work.of("a")))
        await reached(lambda: work.running["a"] == 1)
        left = asyncio.create_task(pool.run("a", lambda: work.of("left"), gone))
        cancelled = asyncio.create_task(pool.run("a", lambda: work.of("cancelled")))
        stays = asyncio.create_task(pool.run("a", lambda: work.of("stays")))
        await reached(lambda: pool.waiting == 3)
        # when one client has left, and another request is cancelled
        cancelled.cancel()
        with pytest.raises(ClientDisconnect):
            await left
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        # then they do not wait any more, and their work is never done
        assert pool.waiting == 1
        work.go.set()
        await asyncio.gather(taken, stays)
        assert work.done == ["a", "stays"]
        await asyncio.wait_for(pool.run("b", lambda: None), 5)

    run(test())


def test_every_thread_comes_back_whatever_becomes_of_the_calls() -> None:
    """None is lost to an error, nor to a caller that was cancelled as its turn came."""

    async def test() -> None:
        # given calls that fail, that are cancelled at random moments, and that end well
        pool = threads(at_once=3, each=2, waiting=1_000, waiting_each=1_000)

        def fails() -> None:
            raise ValueError

        tasks = [
            asyncio.create_task(pool.run(f"caller {n % 7}", fails if n % 3 == 0 else lambda: None))
            for n in range(600)
        ]
        for n, task in enumerate(tasks):
            if n % 5 == 0:
                await asyncio.sleep(0)
                task.cancel()
        # when all of them are over
        await asyncio.gather(*tasks, return_exceptions=True)
        # then nothing waits, and three callers find a thread each
        work = Work()
        last = [asyncio.create_task(pool.run(name, lambda: work.of("x"))) for name in "abc"]
        await reached(lambda: work.running["x"] == 3)
        assert pool.waiting == 0
        work.go.set()
        await asyncio.gather(*last)

    run(test())
