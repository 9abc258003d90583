"""Reads that run only while a client waits for the answer, and not longer than their time limit.

A read runs in a thread, and nothing can end a thread from outside. Its `ReadBudget` stops the statement that
runs in the store, and stops the read between two steps. The thread is given back when the read has ended, not
before: an abandoned read still occupies its thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect, Request

from offerlog_application.reading.read_budget import ReadBudget

T = TypeVar("T")

_CHECK_SECONDS: Final = 0.25
"""Seconds between two checks that the client is still connected."""


async def run_while_wanted(
    request: Request,
    read: Callable[[], T],
    run: Callable[[Callable[[], T]], Awaitable[T]],
    timeout_seconds: float,
) -> T:
    """Run a read with a time limit, and stop it when the client disconnects.

    Args:
        request: The request that the read answers.
        read: The read.
        run: Runs a function in a thread, perhaps after waiting for a free one.
        timeout_seconds: Time limit of the read, in seconds; 0 for no limit.

    Raises:
        ReadTimeoutError: The read exceeded the time limit.
        ClientDisconnect: The client has disconnected.
    """
    budget = ReadBudget(timeout_seconds or None)

    def read_within_budget() -> T:
        with budget.active():
            return read()

    async def run_in_thread() -> T:
        return await run(read_within_budget)

    task = asyncio.create_task(run_in_thread())
    try:
        while not (await asyncio.wait({task}, timeout=_CHECK_SECONDS))[0]:
            if await request.is_disconnected():
                break
    finally:
        if not task.done():  # the client has disconnected, or its streamed answer was ended
            with CancelScope(shield=True):
                await _stop(task, budget)
    if budget.is_cancelled:
        raise ClientDisconnect
    return task.result()


async def _stop(task: "asyncio.Task[T]", budget: ReadBudget) -> None:
    """Stop a read and wait until it has ended. Its answer and its errors are dropped."""
    while not task.done():
        # Repeated, because between two statements there is nothing to cancel.
        await to_thread.run_sync(budget.cancel)
        await asyncio.wait({task}, timeout=_CHECK_SECONDS)
    task.exception()
