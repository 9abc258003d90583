"""Answers of another thread in the event loop: every one comes, whenever it is completed."""

import asyncio
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue

import pytest

from offerlog_infrastructure.http.threads.completions import Completions
from support.processes import finish


def test_every_answer_comes() -> None:
    """Completed one by one, many at a time, or before anybody waits: none is forgotten."""
    handed: SimpleQueue[Future[int] | None] = SimpleQueue()

    def complete() -> None:
        done = 0
        while (future := handed.get(timeout=30)) is not None:
            future.set_result(done)
            done += 1
            if done % 97 == 0:
                time.sleep(0.0005)

    async def ask(completions: Completions) -> int:
        future: Future[int] = Future()
        handed.put(future)
        return await completions.wait_for(future)

    async def caller(completions: Completions) -> list[int]:
        return [await ask(completions) for _ in range(200)]

    async def all_callers() -> list[int]:
        completions = Completions()
        found = await asyncio.wait_for(asyncio.gather(*(caller(completions) for _ in range(50))), 30)
        return [one for answers in found for one in answers]

    thread = threading.Thread(target=complete)
    thread.start()
    try:
        assert sorted(asyncio.run(all_callers())) == list(range(50 * 200))
    finally:
        handed.put(None)
        finish(thread)


def test_an_error_comes_as_one() -> None:
    """And a request that is gone stops nobody else's answer."""

    async def ask() -> None:
        completions = Completions()
        gone: Future[int] = Future()
        wrong: Future[int] = Future()
        waiting = asyncio.create_task(completions.wait_for(gone))
        await asyncio.sleep(0)
        waiting.cancel()

        def end() -> None:
            gone.set_result(1)
            wrong.set_exception(ValueError("no"))

        threading.Timer(0.01, end).start()
        with pytest.raises(ValueError, match="no"):
            await asyncio.wait_for(completions.wait_for(wrong), 5)

    asyncio.run(ask())
