"""The service for asyncio: the same answers, many at once, and cancelling loses nothing that was stored."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from offerlog import (
    ClosedError,
    MalformedSignalError,
    OfferBlocked,
    Offerlog,
    OfferMade,
    OrganizationNameError,
    OutcomeKind,
    ReportQuery,
    open_offerlog,
)

T = TypeVar("T")

MAP = str(UUID(int=1))
SESSION = str(UUID(int=2))
SECONDS = 60
"""The time that a test's coroutine may take."""


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on an event loop of its own, within the time limit."""

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
        visitors = [("cookie", "visitor-1"), ("cookie", "nobody")]
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


def test_a_cancelled_write_is_stored_whole_or_not_at_all(offerlog: Offerlog) -> None:
    """What was begun is recorded; sent again, everything is recorded or recognised, once."""
    actions = [str(uuid4()) for _ in range(200)]
    batches = [[signal("offered", action, f"visitor-{action}")] for action in actions]

    async def cancelled() -> int:
        await offerlog.aio.record([])
        tasks = [asyncio.create_task(offerlog.aio.record(batch)) for batch in batches]
        await asyncio.sleep(0.01)  # some are being written by now
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) or not isinstance(one, Exception) for one in ended)
        again = [(await offerlog.aio.record(batch)).outcomes[0].kind for batch in batches]
        assert set(again) <= {OutcomeKind.RECORDED, OutcomeKind.DUPLICATE}
        await offerlog.aio.catch_up()
        (row,) = (await offerlog.aio.report(ReportQuery("default"))).rows
        return row.metrics["nWebActionsOffered"]

    assert run(cancelled) == len(actions)


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
