"""Reads go on only while somebody waits for their answer, and no longer than they may.

A read runs in a thread, which nothing can end from outside; its `ReadBudget` stops the statement that runs
for it in the store, and the read itself between its steps. The place in the thread is given back when the
read has ended, not before: an abandoned read still takes up a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect, Request

from offerlog_application.reading.read_budget import ReadBudget

T = TypeVar("T")

_LOOK_SECONDS: Final = 0.25
"""How often to look whether the client is still there."""


async def while_wanted(
    request: Request, read: Callable[[], T], run: Callable[[Callable[[], T]], Awaitable[T]]
) -> T:
    """Run a read with the service's time limit, and stop it when the client has gone.

    Args:
        request: Whose answer it is.
        read: The read.
        run: Runs what it is given in a thread, perhaps after waiting for one.

    Raises:
        ReadTimeoutError: The read took longer than it may.
        ClientDisconnect: The client has gone.
    """
    budget = ReadBudget(request.app.state.settings.read_timeout or None)

    def limited() -> T:
        with budget.active():
            return read()

    async def awaited() -> T:
        return await run(limited)

    task = asyncio.create_task(awaited())
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                break
    finally:
        if not task.done():  # the client has gone, or its streamed answer was ended
            with CancelScope(shield=True):
                await _stop(task, budget)
    if budget.is_cancelled:
        raise ClientDisconnect
    return task.result()


async def _stop(task: "asyncio.Task[T]", budget: ReadBudget) -> None:
    """Stop a read and wait until it has ended; its answer and its errors are of no use any more."""
    while not task.done():
        # Again and again: between two statements there is none that could be stopped.
        await to_thread.run_sync(budget.cancel)
        await asyncio.wait({task}, timeout=_LOOK_SECONDS)
    task.exception()
