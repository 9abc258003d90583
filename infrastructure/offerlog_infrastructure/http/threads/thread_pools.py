"""Which work of the service has which threads: a flood of one kind never reaches another kind.

Few threads are enough: they all share one interpreter, and more of them only make each slower.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from starlette.requests import Request

from offerlog_infrastructure.http.threads.fair_threads import FairThreads
from offerlog_infrastructure.http.threads.wanted_reads import while_wanted

P = ParamSpec("P")
T = TypeVar("T")


REPORTS_EACH: Final = 2
"""How many reports, lists and histories of one organization are read at once."""


class ThreadPools:
    """The threads of one application.

    Attributes:
        look_ups: Suppressions of a visitor or of a batch: what page views wait for. By organization.
        eligibility: Visitor-offers read from the log to explain a decision. By organization.
        reports: Reports, lists, histories: what may take long. By organization.
        submissions: Many signals at once, read before they are handed to the writer. By organization.
        keys: Keys looked up in the store. By peer address, as nobody knows yet whose they are.
    """

    def __init__(self) -> None:
        self.look_ups = FairThreads(8, each=6, waiting=2_000, waiting_each=500)
        self.eligibility = FairThreads(3, each=2, waiting=400, waiting_each=100)
        self.reports = FairThreads(4, each=REPORTS_EACH, waiting=400, waiting_each=100)
        self.submissions = FairThreads(2, each=1, waiting=1_000, waiting_each=250)
        self.keys = FairThreads(2, each=1, waiting=1_000, waiting_each=50)


async def look_up(request: Request, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Read what a page view waits for, on the threads of look-ups."""
    pools: ThreadPools = request.app.state.threads
    organization = request.state.key.organization
    return await pools.look_ups.run(organization, lambda: read(*args, **named), request.is_disconnected)


async def explain(request: Request, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Read a visitor-offer from the log, on the threads of eligibility.

    Raises:
        ReadTimeoutError: The read took longer than it may.
        ClientDisconnect: The client has gone, so the read was stopped, or never begun.
    """
    return await _wanted(request, request.app.state.threads.eligibility, lambda: read(*args, **named))


async def slowly(request: Request, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Read what may take long, on the threads of reports.

    Raises:
        ReadTimeoutError: The read took longer than it may.
        ClientDisconnect: The client has gone, so the read was stopped, or never begun.
    """
    return await _wanted(request, request.app.state.threads.reports, lambda: read(*args, **named))


async def submit(request: Request, hand_in: Callable[[], T]) -> T:
    """Hand in signals whose reading takes long, on the threads of submissions."""
    pools: ThreadPools = request.app.state.threads
    organization = request.state.key.organization
    return await pools.submissions.run(organization, hand_in, request.is_disconnected)


async def _wanted(request: Request, threads: FairThreads, read: Callable[[], T]) -> T:
    organization = request.state.key.organization
    return await while_wanted(
        request, read, lambda work: threads.run(organization, work, request.is_disconnected)
    )
