"""Cool-downs: everything that says what is suppressed agrees with a recount of all that was done."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from offerlog import (
    ArgumentError,
    MalformedSignalError,
    OfferBlocked,
    Offerlog,
    OrganizationNameError,
    OutcomeKind,
    VisitorKey,
    open_offerlog,
)
from offerlog.testing import SettableClock, open_in_memory
from offerlog_domain.identity import ActionMapId
from support.journeys import an_id
from support.recount import until

START = datetime(2026, 11, 1, tzinfo=UTC)
MAPS = [an_id(f"map-{n}") for n in range(3)]
VISITORS = [f"visitor-{n}" for n in range(3)]
ENDS: dict[str, list[str]] = {
    "rejected": ["rejected"],
    "ignored": ["ignored"],
    "timedout": ["timedout"],
    "errored": ["errored"],
    "abandoned": ["accepted", "started", "abandoned"],
    "engaged": ["accepted", "started", "engaged"],
}
"""The signals behind an offer, by the state in which they end."""

SUPPRESSING = sorted({*ENDS} - {"errored"})
HOUR = timedelta(hours=1)
FOR_EVER = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def clock() -> SettableClock:
    """The clock of all services of a test."""
    return SettableClock(START)


@pytest.fixture(params=["in memory", "on PostgreSQL"])
def services(
    request: pytest.FixtureRequest, clock: SettableClock, make_dsn: Callable[[], str], tmp_path: Path
) -> Iterator[list[Offerlog]]:
    """One service in memory; or two processes' worth of services on one store, the last with a replica."""
    with ExitStack() as held:
        if request.param == "in memory":
            yield [held.enter_context(open_in_memory("default", clock=clock))]
            return
        dsn = make_dsn()

        def open_one(**options: Any) -> Offerlog:
            return held.enter_context(
                open_offerlog(
                    database_url=dsn, organization="default", clock=clock, keep_deadlines=False, **options
                )
            )

        yield [open_one(), open_one(project=False, replica=tmp_path / "replica")]


@dataclass
class Recount:
    """What was done, and what follows from it by the words of the rule alone."""

    policies: dict[str, dict[str, timedelta]] = field(default_factory=dict)
    newest: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)

    def end(self, visitor: str, action_map: str) -> datetime | None:
        """Until when a pair is suppressed, the greatest time for ever; None if it is not a matter of time."""
        state, since = self.newest.get((visitor, action_map), ("errored", START))
        if state not in SUPPRESSING:
            return None
        period = self.policies.get(action_map, {}).get(state)
        return FOR_EVER if period is None else since + period

    def suppressed(self, now: datetime) -> dict[tuple[str, str], tuple[str, datetime, datetime | None]]:
        """The suppression list: state, since and until, by visitor and map."""
        found: dict[tuple[str, str], tuple[str, datetime, datetime | None]] = {}
        for pair, (state, since) in self.newest.items():
            end = self.end(*pair)
            if end is not None and now < end:
                found[pair] = (state, since, None if end == FOR_EVER else end)
        return found


def check_all(services: list[Offerlog], recount: Recount, now: datetime) -> None:
    """Compare every way to ask with the recount."""
    services[0].catch_up()
    expected = recount.suppressed(now)
    for service in services:
        listed = [one for visitor in VISITORS for one in service.suppressions(visitor)]
        together = service.suppressions_of([VisitorKey("cookie", visitor) for visitor in VISITORS])
        assert [one for found in together.values() for one in found] == listed
        by_map = [one for action_map in MAPS for one in service.suppressed_visitors(action_map)]
        assert sorted(by_map, key=repr) == sorted(listed, key=repr)
        assert {
            (one.customer_id, one.action_map_id): (one.state, one.since, one.until) for one in listed
        } == expected
        shown = {
            (visitor, one.action_map_id)
            for visitor in VISITORS
            for one in service.analysis.visitor(customer_id=visitor).offers
            if one.is_suppressed
        }
        assert shown == {*expected}
        for visitor in VISITORS:
            for action_map in MAPS:
                by = service.eligibility(customer_id=visitor, action_map_id=action_map)
                row = expected.get((visitor, action_map))
                assert (by and (by.state, by.since)) == (row and row[:2])
    if len(services) > 1:
        local, position = services[-1], services[0].position()
        until(lambda: local.local_suppressions(VISITORS[0]).position >= position)
        for visitor in VISITORS:
            assert list(local.local_suppressions(visitor).suppressions) == list(local.suppressions(visitor))


def live(service: Offerlog, visitor: str, action_map: str, end: str) -> bool:
    """Ask for an offer; if it is made, its action ends in a state. Returns whether it was made."""
    asked: Any = {"customer_id": visitor, "action_map_id": action_map, "session_id": an_id("session")}
    answer = service.offer(**asked)
    if isinstance(answer, OfferBlocked):
        return False
    signal = {
        "customerId": visitor,
        "actionMapId": action_map,
        "actionId": answer.action_id,
        "sessionId": an_id("session"),
    }
    receipt = service.record([{**signal, "actionState": state} for state in ENDS[end]])
    assert {one.kind for one in receipt.outcomes} == {OutcomeKind.RECORDED}
    return True


def test_all_answers_agree_with_a_recount_over_random_policies_and_times(
    services: list[Offerlog], clock: SettableClock
) -> None:
    """Offers, eligibility, the lists and the local copy, in every process, at the very instant of an end."""
    # given
    chance, recount = random.Random(18), Recount()  # noqa: S311 - a test repeats the same chance
    now = START
    made = blocked = 0
    for step in range(70):
        # when
        service, action_map = chance.choice(services), chance.choice(MAPS)
        all_ends = [recount.end(*pair) for pair in recount.newest]
        ends = [one for one in all_ends if one is not None and now < one < now + 9 * HOUR]
        now = chance.choice(ends) if ends and chance.random() < 0.4 else now + chance.random() * 3 * HOUR
        now -= timedelta(microseconds=now.microsecond % 1000) if chance.random() < 0.5 else timedelta()
        now = max(now, clock.now())
        clock.set(now)
        if chance.random() < 0.3:
            names = chance.sample(SUPPRESSING, chance.randrange(len(SUPPRESSING) + 1))
            policy = {name: timedelta(seconds=chance.randrange(1, 30_000)) for name in names}
            position = service.policies.set(action_map, policy)
            assert (position is None) == (policy == recount.policies.get(action_map, {}))
            recount.policies[action_map] = policy
        for visitor in chance.sample(VISITORS, 2):
            end = chance.choice([*ENDS])
            expected = (visitor, action_map) not in recount.suppressed(now)
            # then
            assert live(chance.choice(services), visitor, action_map, end) is expected
            made, blocked = made + expected, blocked + (not expected)
            if expected:
                recount.newest[visitor, action_map] = end, now
        if step % 10 == 9:
            check_all(services, recount, now)
    assert made > 30
    assert blocked > 20
    services[0].rebuild("suppression")  # it compares the new rows with those of the projector
    check_all(services, recount, now)
    for service in services:
        in_force = {one: dict(policy.suppress_for) for one, policy in service.policies.all().items()}
        assert in_force == {ActionMapId(one): policy for one, policy in recount.policies.items()}


def test_every_policy_that_was_set_stands_in_the_stream_of_its_map(
    services: list[Offerlog], clock: SettableClock
) -> None:
    """So an audit knows what held when. A policy that is in force already is no event."""
    # given
    service, other = services[0], services[-1]
    first, second = {"ignored": 30 * 24 * HOUR}, {"timedout": timedelta(0)}
    # when
    positions = [service.policies.set(MAPS[0].upper(), first, set_by="an operator")]
    clock.advance(HOUR)
    positions += [other.policies.set(MAPS[0], first), other.policies.set(MAPS[0], second)]
    service.policies.set(MAPS[0], first, organization="another")
    # then
    assert positions[1] is None
    changes = service.policies.changes(MAPS[0])
    assert [one.position for one in changes] == [positions[0], positions[2]]
    assert [one.set_at for one in changes] == [START, START + HOUR]
    assert [one.set_by for one in changes] == ["an operator", ""]
    assert [dict(one.policy.suppress_for) for one in changes] == [first, second]
    assert service.policies.find(MAPS[0]) == other.policies.find(MAPS[0]) == changes[1].policy
    assert not service.policies.find(MAPS[1]).suppress_for
    assert asyncio.run(other.aio.policies.find(MAPS[0])) == changes[1].policy
    assert dict(service.policies.find(MAPS[0], organization="another").suppress_for) == first


def test_a_policy_that_cannot_be_set_changes_nothing(services: list[Offerlog]) -> None:
    """Whatever is wrong: the map, a state, a time, a name."""
    policies = services[0].policies
    with pytest.raises(MalformedSignalError):
        policies.set("no map", {})
    with pytest.raises(ArgumentError):
        policies.set(MAPS[0], {"errored": HOUR})
    with pytest.raises(ArgumentError):
        policies.set(MAPS[0], {"ignored": HOUR}, set_by="x" * 201)
    with pytest.raises(OrganizationNameError):
        policies.set(MAPS[0], {"ignored": HOUR}, organization="no name")
    assert policies.all() == {}
    assert policies.changes(MAPS[0]) == []
