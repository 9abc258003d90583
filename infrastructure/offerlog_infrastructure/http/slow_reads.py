"""Reads that may take long have threads of their own: no page view waits for a report."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request

from offerlog_infrastructure.http.wanted_reads import while_wanted

AT_ONCE: Final = 4
"""Fewer than there are connections for reports and lists: what is small and asked in between has one left."""

P = ParamSpec("P")
T = TypeVar("T")


def limit(app: FastAPI) -> None:
    """Give an app its threads for slow reads."""
    app.state.slow_reads = CapacityLimiter(AT_ONCE)


async def slowly(request: Request, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Read on one of these threads; waits for one where all are taken.

    Raises:
        ReadTimeoutError: The read took longer than it may.
        ClientDisconnect: The client has gone, so the read was stopped.
    """
    limiter: CapacityLimiter = request.app.state.slow_reads
    return await while_wanted(
        request,
        lambda: read(*args, **named),
        lambda work: to_thread.run_sync(work, limiter=limiter),
    )
