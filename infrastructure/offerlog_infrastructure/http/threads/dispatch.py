"""Work of a request, run on the threads for its kind.

The organizations whose requests wait for such threads take turns.
"""

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from starlette.requests import Request

from offerlog_domain.identity import VisitorKey, parse_visitor_key
from offerlog_infrastructure.http.state import key_of, set_visitor, state_of, visitor_of
from offerlog_infrastructure.http.threads.fair_threads import FairThreads
from offerlog_infrastructure.http.threads.wanted_reads import run_while_wanted

P = ParamSpec("P")
T = TypeVar("T")


async def run_look_up(request: Request, visitors: Iterable[VisitorKey], read: Callable[[], T]) -> T:
    """Run a read that a page view waits for, on the threads for look-ups of the visitors' servers."""
    organization = key_of(request).organization
    threads = state_of(request).threads.look_ups.of_servers(_servers_of(request, visitors))
    return await threads.run(organization, read, request.is_disconnected)


async def run_explanation(request: Request, visitor: VisitorKey, read: Callable[[], T]) -> T:
    """Run a read of one visitor-offer from the log, on the threads for eligibility of the visitor's server.

    Raises:
        ReadTimeoutError: The read exceeded its time limit.
        ClientDisconnect: The client has disconnected. The read was stopped, or did not begin.
    """
    threads = state_of(request).threads.eligibility.of_servers(_servers_of(request, (visitor,)))
    return await _run_wanted(request, threads, read)


async def run_report(request: Request, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Run a read that may take long, on the threads for reports.

    Over several servers, the reads about one visitor (see `note_visitor`) have threads for each server, and
    all others have threads of their own: a server that hangs takes none of those that others need.

    Raises:
        ReadTimeoutError: The read exceeded its time limit.
        ClientDisconnect: The client has disconnected. The read was stopped, or did not begin.
    """
    visitor = visitor_of(request)
    servers = state_of(request).service.servers() if visitor is None else _servers_of(request, (visitor,))
    threads = state_of(request).threads.reports.of_servers(servers)
    return await _run_wanted(request, threads, lambda: read(*args, **named))


def note_visitor(request: Request, customer_id: str, customer_id_type: str) -> None:
    """Note that a request is about one visitor, so that `run_report` takes threads of the visitor's server.

    Raises:
        MalformedSignalError: An id is not valid.
    """
    set_visitor(request, parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type))


async def run_feed(request: Request, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Run a read of the feed, on the threads for it.

    Raises:
        ReadTimeoutError: The read exceeded its time limit.
        ClientDisconnect: The client has disconnected. The read was stopped, or did not begin.
    """
    return await _run_wanted(request, state_of(request).threads.feed, lambda: read(*args, **named))


async def run_submission(request: Request, submit: Callable[[], T]) -> T:
    """Submit signals that take long to read, on the threads for submissions."""
    threads, organization = state_of(request).threads.submissions, key_of(request).organization
    return await threads.run(organization, submit, request.is_disconnected)


def _servers_of(request: Request, visitors: Iterable[VisitorKey]) -> frozenset[int]:
    return state_of(request).service.shards_of(visitors, organization=key_of(request).organization)


async def _run_wanted(request: Request, threads: FairThreads, read: Callable[[], T]) -> T:
    organization = key_of(request).organization
    return await run_while_wanted(
        request,
        read,
        lambda limited: threads.run(organization, limited, request.is_disconnected),
        state_of(request).settings.read_timeout,
    )
