"""The service for asyncio: the same answers, many at once, and cancelling loses nothing that was stored."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

from offerlog import (
    ClosedError,
    LegalHoldError,
    MalformedSignalError,
    NoSuchVisitorError,
    OfferBlocked,
    Offerlog,
    OfferMade,
    OrganizationNameError,
    OutcomeKind,
    ProjectionsBehindError,
    ReadBudget,
    ReadCancelledError,
    ReportQuery,
    VisitorKey,
    open_offerlog,
)
from offerlog_application.aio import AsyncOfferlog
from support.internals import stop_projector

T = TypeVar("T")

MAP = str(UUID(int=1))
SESSION = str(UUID(int=2))
SECONDS = 60
"""The time that a test's coroutine may take."""


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a separate event loop, within the time limit."""

    async def limited() -> T:
        return await asyncio.wait_for(work(), SECONDS)

    return asyncio.run(limited())


def signal(state: str, action: str, visitor: str) -> dict[str, object]:
    """A signal of one visitor, in the browser's form."""
    return {
        "actionId": action,
        "actionState": state,
        "actionMapId": MAP,
        "customerId": visitor,
        "sessionId": SESSION,
    }


def test_hundreds_of_callers_at_once_each_get_their_own_answer(offerlog: Offerlog) -> None:
    """One journey each: an offer, what became of it, a second offer that is blocked, and the history."""
    visitors = [f"visitor-{n}" for n in range(300)]

    async def journey(visitor: str) -> list[str]:
        who: Any = {"customer_id": visitor, "action_map_id": MAP}
        offered = await offerlog.aio.offer(**who, session_id=SESSION)
        assert isinstance(offered, OfferMade)
        receipt = await offerlog.aio.record([signal("rejected", offered.action_id, visitor)])
        assert [outcome.kind for outcome in receipt.outcomes] == [OutcomeKind.RECORDED]
        blocked = await offerlog.aio.offer(**who, session_id=SESSION)
        assert isinstance(blocked, OfferBlocked)
        assert await offerlog.aio.eligibility(**who) == blocked.by
        history = await offerlog.aio.history(**who)
        return [event.state.value for event in history.events]

    async def crowd() -> list[list[str]]:
        return await asyncio.gather(*map(journey, visitors))

    # when hundreds of coroutines go through the service at once
    histories = run(crowd)
    # then each has its own history
    assert histories == [["offered", "rejected"]] * len(visitors)


def test_reads_answer_what_the_blocking_ones_do(offerlog: Offerlog) -> None:
    """Look-ups, reports and streamed lists."""
    actions = [str(uuid4()) for _ in range(600)]

    async def reads() -> None:
        batch = [
            signal(state, action, f"visitor-{n}")
            for n, action in enumerate(actions)
            for state in ("offered", "rejected")
        ]
        receipt = await offerlog.aio.record([*batch, b"nonsense"])
        await offerlog.aio.wait(receipt.position)
        await offerlog.aio.catch_up()
        assert await offerlog.aio.suppressions("visitor-1") == offerlog.suppressions("visitor-1")
        visitors = [VisitorKey("cookie", "visitor-1"), VisitorKey("cookie", "nobody")]
        assert await offerlog.aio.suppressions_of(visitors) == offerlog.suppressions_of(visitors)
        query = ReportQuery("default")
        assert await offerlog.aio.report(query) == offerlog.report(query)
        assert (await offerlog.aio.report(query)).rows[0].metrics["nWebActionsRejected"] == len(actions)
        listed = [one async for one in offerlog.aio.suppressed_visitors(MAP)]
        assert listed == list(offerlog.suppressed_visitors(MAP))
        assert len(listed) == len(actions)
        assert [one.raw async for one in offerlog.aio.refusals()] == [b"nonsense"]
        assert [one async for one in offerlog.aio.parked()] == []
        assert [one async for one in offerlog.aio.action_maps()] == [(MAP, None)]
        assert (await offerlog.aio.refusal_counts()).counts == offerlog.refusal_counts().counts
        assert (await offerlog.aio.freshness()).short_by == 0

    run(reads)


def test_the_requests_of_visitors_are_answered_as_by_the_blocking_methods(offerlog: Offerlog) -> None:
    """Access, a legal hold, and an erasure."""
    who: Any = {"customer_id": "visitor-1"}

    async def requests() -> None:
        receipt = await offerlog.aio.record([signal("offered", str(uuid4()), "visitor-1")])
        await offerlog.aio.wait(receipt.position)
        assert await offerlog.aio.visitor_data(**who) == offerlog.visitor_data(**who)
        await offerlog.aio.hold_visitor(**who, reason="a lawsuit")
        assert await offerlog.aio.legal_holds() == offerlog.legal_holds()
        with pytest.raises(LegalHoldError):
            await offerlog.aio.erase(**who)
        assert await offerlog.aio.lift_hold(**who)
        assert (await offerlog.aio.erase(**who)).events == 1
        with pytest.raises(NoSuchVisitorError):
            await offerlog.aio.visitor_data(**who)

    run(requests)


def test_errors_come_out_of_the_await(offerlog: Offerlog) -> None:
    """The same ones as of the blocking methods."""

    async def mistakes() -> None:
        with pytest.raises(MalformedSignalError):
            await offerlog.aio.offer(customer_id="", action_map_id=MAP, session_id=SESSION)
        with pytest.raises(OrganizationNameError):
            await offerlog.aio.record([], organization="not a name")
        with pytest.raises(ValueError, match="version"):
            await offerlog.aio.history(customer_id="visitor-1", action_map_id=MAP, version=-1)

    run(mistakes)


def test_closing_ends_the_threads_and_later_calls(dsn: str) -> None:
    """No thread of the view is left, and every method says that the service is closed."""
    service = open_offerlog(database_url=dsn, keep_deadlines=False)
    run(lambda: service.aio.suppressions("visitor-1"))
    assert any(thread.name.startswith("offerlog-aio") for thread in threading.enumerate())
    service.close()
    assert not any(thread.name.startswith("offerlog-aio") for thread in threading.enumerate())
    for call in (
        lambda: service.aio.suppressions("visitor-1"),
        lambda: service.aio.record([]),
        lambda: service.aio.offer(customer_id="v", action_map_id=MAP, session_id=SESSION),
        lambda: service.aio.report(ReportQuery("default")),
    ):
        with pytest.raises(ClosedError):
            run(call)


SHARED = sorted(name for name in dir(AsyncOfferlog) if not name.startswith("_"))


@pytest.mark.parametrize("name", SHARED)
def test_every_coroutine_takes_the_arguments_of_the_blocking_method(name: str) -> None:
    """Names, order, defaults and types."""
    awaited = inspect.signature(getattr(AsyncOfferlog, name)).parameters
    assert awaited == inspect.signature(getattr(Offerlog, name)).parameters


def test_stuck_waits_keep_their_timeout_and_block_no_other(offerlog: Offerlog) -> None:
    """Ten of them with a second each end after about one second, and a wait that is over ends at once."""
    stop_projector(offerlog)

    async def stuck() -> None:
        receipt = await offerlog.aio.record([signal("offered", str(uuid4()), "visitor-1")])
        began = time.monotonic()
        waits = [asyncio.create_task(offerlog.aio.wait(receipt.position, timeout=1)) for _ in range(10)]
        await asyncio.sleep(0.1)
        await offerlog.aio.wait(0, timeout=1)
        assert time.monotonic() - began < 0.9
        ended = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(one) for one in ended] == [ProjectionsBehindError] * 10
        assert 0.9 < time.monotonic() - began < 3

    run(stuck)


def test_closing_does_not_wait_for_waits_that_were_given_up(dsn: str) -> None:
    """Nor for those that go on: they end with `ClosedError`."""
    service = open_offerlog(database_url=dsn, keep_deadlines=False)

    async def give_up() -> None:
        waits = [asyncio.create_task(service.aio.wait(10**9)) for _ in range(7)]
        await asyncio.sleep(0.1)
        for wait in waits[1:]:
            wait.cancel()
        began = time.monotonic()
        await asyncio.to_thread(service.close)
        assert time.monotonic() - began < 3
        ended = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(one) for one in ended] == [ClosedError, *[asyncio.CancelledError] * 6]

    run(give_up)


@contextmanager
def locked(dsn: str, *tables: str, mode: str = "ACCESS EXCLUSIVE") -> Iterator[Callable[[], int]]:
    """Lock tables, against reads unless a mode is given; gives the count of statements that wait."""
    counting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with (
        psycopg.connect(dsn, options="-c search_path=offerlog") as connection,
        psycopg.connect(dsn, autocommit=True) as watching,
    ):
        connection.execute(f"LOCK TABLE {', '.join(tables)} IN {mode} MODE".encode())

        def count() -> int:
            ((found,),) = watching.execute(counting).fetchall()
            return int(found)

        yield count


async def eventually(count: Callable[[], int], expected: int, seconds: float) -> None:
    """Wait until a count is as expected."""
    deadline = time.monotonic() + seconds
    while (found := count()) != expected:
        assert time.monotonic() < deadline, f"{found}, not {expected}"
        await asyncio.sleep(0.02)


def test_a_cancelled_write_is_stored_whole_or_not_at_all(offerlog: Offerlog, dsn: str) -> None:
    """What was begun is recorded, what was not gives its room back; sent again, all is recorded once."""
    actions = [str(uuid4()) for _ in range(200)]
    batches = [[signal("offered", action, f"visitor-{action}")] for action in actions]

    async def cancelled() -> int:
        await offerlog.aio.record([])
        with locked(dsn, "offerlog_events", mode="SHARE") as count:
            tasks = [asyncio.create_task(offerlog.aio.record(batches[0]))]
            await eventually(count, 1, 3)  # the first batch is being written
            begun = offerlog.queue_depth()
            tasks += [asyncio.create_task(offerlog.aio.record(batch)) for batch in batches[1:]]
            await eventually(offerlog.queue_depth, begun + 199, 3)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(one) for one in ended} == {asyncio.CancelledError}
            await eventually(offerlog.queue_depth, begun, 3)
        again = [(await offerlog.aio.record(batch)).outcomes[0].kind for batch in batches]
        assert again == [OutcomeKind.DUPLICATE, *[OutcomeKind.RECORDED] * 199]
        await offerlog.aio.catch_up()
        (row,) = (await offerlog.aio.report(ReportQuery("default"))).rows
        return row.metrics["nWebActionsOffered"]

    assert run(cancelled) == len(actions)


def reads_of(service: Offerlog) -> list[Coroutine[Any, Any, object]]:
    """One read of every kind."""
    return [
        service.aio.history(customer_id="visitor-1", action_map_id=MAP),
        service.aio.report(ReportQuery("default")),
        service.aio.refusal_counts(),
        service.aio.suppressions("visitor-1"),
        anext(service.aio.suppressed_visitors(MAP)),  # type: ignore[arg-type] # another kind of awaitable
    ]


TABLES = ("offerlog_events", "performance_days", "refusal_counts", "suppressions")


def test_cancelling_a_read_stops_its_statement(dsn: str) -> None:
    """Long before the store's own limit for waiting for a lock, which is five seconds."""

    async def cancel(service: Offerlog) -> None:
        await service.aio.history(customer_id="visitor-1", action_map_id=MAP)
        with locked(dsn, *TABLES) as count:
            tasks = [asyncio.ensure_future(one) for one in reads_of(service)]
            await eventually(count, len(tasks), 3)
            for task in tasks:
                task.cancel()
            await eventually(count, 0, 2)
        assert await service.aio.suppressions("visitor-1") == []

    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        run(lambda: cancel(service))


def test_closing_ends_reads_that_go_on(dsn: str) -> None:
    """They say that the service was closed."""
    service = open_offerlog(database_url=dsn, keep_deadlines=False, project=False)

    async def close() -> None:
        await service.aio.history(customer_id="visitor-1", action_map_id=MAP)
        with locked(dsn, *TABLES) as count:
            tasks = [asyncio.ensure_future(one) for one in reads_of(service) + reads_of(service)]
            await eventually(count, 6, 3)
            began = time.monotonic()
            await asyncio.to_thread(service.close)
            assert time.monotonic() - began < 3
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in ended} == {ClosedError}

    run(close)


def test_large_batches_are_written_while_every_reading_thread_is_busy(dsn: str) -> None:
    """Separate threads read them."""

    async def write(service: Offerlog) -> None:
        await service.aio.record([])
        with locked(dsn, "refusal_counts") as count:
            reads = [asyncio.ensure_future(service.aio.refusal_counts()) for _ in range(5)]
            await eventually(count, 4, 3)
            batch = [signal("offered", str(uuid4()), f"visitor-{n}") for n in range(50)]
            receipt = await asyncio.wait_for(service.aio.record(batch), 3)
            assert len(receipt.outcomes) == 50
            assert count() == 4
            for read in reads:
                read.cancel()

    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        run(lambda: write(service))


def test_the_budget_of_the_caller_counts_for_awaited_reads(offerlog: Offerlog) -> None:
    """Cancelling it ends them."""
    budget = ReadBudget(None)

    async def read() -> None:
        with budget.active():
            await offerlog.aio.refusal_counts()
            budget.cancel()
            with pytest.raises(ReadCancelledError):
                await offerlog.aio.refusal_counts()

    run(read)
