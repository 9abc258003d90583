"""Look-ups that are gathered: each gets its own answer, and none waits for one that hangs."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.threads import gathered_look_ups
from offerlog_infrastructure.http.threads.fair_threads import FairThreads
from offerlog_infrastructure.http.threads.gathered_look_ups import GatheredLookUps


class Statements:
    """The statements of a store in memory; those that ask for `slow` wait until they are let go."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.go = threading.Event()

    def read(self, organization: str, visitors: Sequence[VisitorKey]) -> Mapping[VisitorKey, str]:
        """Answer with the organization and the id of each visitor."""
        self.asked.append((organization, len(visitors)))
        assert len(set(visitors)) == len(visitors) <= gathered_look_ups.MAX_VISITORS
        names = {visitor.id for visitor in visitors}
        if "slow" in names:
            assert self.go.wait(10)
        if "wrong" in names:
            raise ValueError
        return {visitor: f"{organization}/{visitor.id}" for visitor in visitors}


async def stays() -> bool:
    """A client that does not leave."""
    return False


async def leaves() -> bool:
    """A client that has left."""
    return True


def run(test: Callable[[GatheredLookUps[str], Statements], Coroutine[Any, Any, None]], **limits: int) -> None:
    """Run a test's coroutine over new look-ups, for ten seconds at most."""
    threads = FairThreads(**{"at_once": 4, "each": 3, "waiting": 100, "waiting_each": 100} | limits)
    statements = Statements()

    async def limited() -> None:
        try:
            await asyncio.wait_for(test(GatheredLookUps(threads, statements.read), statements), 10)
        finally:
            statements.go.set()

    asyncio.run(limited())


def find(look_ups: GatheredLookUps[str], name: str, organization: str = "a") -> "asyncio.Task[str]":
    """Start a look-up."""
    return asyncio.create_task(look_ups.find(organization, VisitorKey("cookie", name), stays))


def test_each_look_up_gets_its_own_answer_from_few_statements() -> None:
    """Many visitors of two organizations, some asked for twice."""

    async def test(look_ups: GatheredLookUps[str], statements: Statements) -> None:
        # when 400 look-ups come at the same time
        names = [f"v{n % 150}" for n in range(400)]
        wanted = [(name, "ab"[n % 2]) for n, name in enumerate(names)]
        found = await asyncio.gather(*(find(look_ups, *one) for one in wanted))
        # then each has its own answer, and a few statements have asked for all
        assert found == [f"{organization}/{name}" for name, organization in wanted]
        assert len(statements.asked) <= 8
        assert look_ups.waiting == 0
        assert not look_ups._lines

    run(test, waiting=1_000, waiting_each=1_000)


def test_a_look_up_that_hangs_holds_no_other() -> None:
    """Not of its organization, either: each gets the answer of a separate statement."""

    async def test(look_ups: GatheredLookUps[str], statements: Statements) -> None:
        # given a statement that hangs
        slow = find(look_ups, "slow")
        await asyncio.sleep(0.01)
        # when others come, then they are answered
        found = await asyncio.gather(*(find(look_ups, f"v{n}") for n in range(20)), find(look_ups, "w", "b"))
        assert found == [f"a/v{n}" for n in range(20)] + ["b/w"]
        assert not slow.done()
        # and once it goes on, so is the one that hung
        statements.go.set()
        assert await slow == "a/slow"

    run(test)


def test_statements_that_hang_are_bounded() -> None:
    """An organization has as many as it may have threads; its further look-ups wait for one of them."""

    async def test(look_ups: GatheredLookUps[str], statements: Statements) -> None:
        # given more look-ups that hang, one after the other, than an organization has threads
        hanging = []
        for _ in range(5):
            hanging.append(find(look_ups, "slow"))
            await asyncio.sleep(2 * gathered_look_ups._PATIENCE_SECONDS)
        assert Counter(statements.asked) == {("a", 1): 3}
        # when another organization asks, then it is answered
        assert await find(look_ups, "w", "b") == "b/w"
        statements.go.set()
        assert await asyncio.gather(*hanging) == ["a/slow"] * 5

    run(test)


def test_an_error_is_that_of_its_own_statement() -> None:
    """The next statement has nothing to do with it."""

    async def test(look_ups: GatheredLookUps[str], _: Statements) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - the double's own
            await find(look_ups, "wrong")
        assert await find(look_ups, "v") == "a/v"

    run(test)


def test_too_many_look_ups_are_sent_away() -> None:
    """With the time to ask again; 429 for the organization's own number, 503 for all together."""

    async def test(look_ups: GatheredLookUps[str], statements: Statements) -> None:
        # given statements that hang, and as many look-ups behind them as may wait
        waiting = []
        for organization in "ab":
            for _ in range(2):
                waiting.append(find(look_ups, "slow", organization))
                await asyncio.sleep(0.01)
        await asyncio.sleep(2 * gathered_look_ups._PATIENCE_SECONDS)
        waiting += [find(look_ups, "v", "a"), find(look_ups, "w", "a"), find(look_ups, "v", "b")]
        await asyncio.sleep(0)
        # when one more comes
        with pytest.raises(ProblemError) as too_many:
            await find(look_ups, "x", "a")
        with pytest.raises(ProblemError) as full:
            await find(look_ups, "x", "c")
        # then it is sent away
        assert (too_many.value.status, full.value.status) == (429, 503)
        assert too_many.value.headers == full.value.headers == {"Retry-After": "1"}
        statements.go.set()
        assert len(await asyncio.gather(*waiting)) == 7

    run(test, each=1, waiting=5, waiting_each=3)


def test_who_leaves_gives_up_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is gone, or the request is cancelled: no statement asks for them."""
    monkeypatch.setattr(gathered_look_ups, "_CHECK_SECONDS", 0.05)

    async def test(look_ups: GatheredLookUps[str], statements: Statements) -> None:
        # given a statement that hangs, and look-ups that wait behind it
        slow = find(look_ups, "slow")
        await asyncio.sleep(0.01)
        gone = asyncio.create_task(look_ups.find("a", VisitorKey("cookie", "gone"), leaves))
        cancelled, waits = find(look_ups, "cancelled"), find(look_ups, "v")
        await asyncio.sleep(0)
        assert look_ups.waiting == 3
        # when one client has left, and another request is cancelled
        cancelled.cancel()
        with pytest.raises(ClientDisconnect):
            await gone
        # then one is left, and asked for alone
        assert look_ups.waiting == 1
        statements.go.set()
        assert (await slow, await waits) == ("a/slow", "a/v")
        assert cancelled.cancelled()
        assert statements.asked == [("a", 1), ("a", 1)]

    run(test, each=1)
