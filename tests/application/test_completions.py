"""Answers of another thread in event loops: every one comes, whenever it is completed."""

import asyncio
import threading
import time
from queue import SimpleQueue

import pytest

from offerlog_application.recording.completions import Completions
from offerlog_application.recording.pending_answer import PendingAnswer
from support.processes import finish


def test_every_answer_comes() -> None:
    """Completed one by one, many at a time, or before anybody waits: none is forgotten."""
    handed: SimpleQueue[PendingAnswer[int] | None] = SimpleQueue()

    def complete() -> None:
        done = 0
        while (future := handed.get(timeout=30)) is not None:
            future.set_result(done)
            done += 1
            if done % 97 == 0:
                time.sleep(0.0005)

    async def ask(completions: Completions) -> int:
        future: PendingAnswer[int] = PendingAnswer()
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
        gone: PendingAnswer[int] = PendingAnswer()
        wrong: PendingAnswer[int] = PendingAnswer()
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


def test_every_loop_gets_its_own_answers() -> None:
    """Two loops wait at the same time, and one of them is closed before its answer comes."""
    completions = Completions()
    pending: dict[str, PendingAnswer[str]] = {name: PendingAnswer() for name in ("first", "second", "closed")}
    found: dict[str, str] = {}
    waiting = threading.Semaphore(0)

    async def wait(name: str) -> None:
        asyncio.get_running_loop().call_soon(waiting.release)
        found[name] = await asyncio.wait_for(completions.wait_for(pending[name]), 10)

    async def leave() -> None:
        task = asyncio.create_task(completions.wait_for(pending["closed"]))
        await asyncio.sleep(0)
        task.cancel()

    # given coroutines that wait in separate loops, and a loop that has been closed
    asyncio.run(leave())
    threads = [threading.Thread(target=asyncio.run, args=(wait(name),)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert waiting.acquire(timeout=10)
    # when all answers come
    for name, one in pending.items():
        one.set_result(name)
    # then each coroutine has its own
    for thread in threads:
        finish(thread)
    assert found == {"first": "first", "second": "second"}


def test_a_submission_that_is_cancelled_ends_the_wait() -> None:
    """And the answers behind it still come."""

    async def ask() -> None:
        completions = Completions()
        cancelled: PendingAnswer[int] = PendingAnswer()
        answered: PendingAnswer[int] = PendingAnswer()
        waits = [asyncio.create_task(completions.wait_for(one)) for one in (cancelled, answered)]
        await asyncio.sleep(0)
        cancelled.cancel()
        answered.set_result(7)
        results = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 5)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1] == 7

    asyncio.run(ask())
