"""The lag of all followers is right, and counted at once."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from offerlog import Offerlog, open_offerlog
from offerlog.testing import SettableClock
from offerlog_infrastructure.postgres.feed import lag, subscriptions
from support.journeys import DAY, signal
from support.plans import nodes
from support.recount import rows

EVENTS = 12


@pytest.fixture
def dsn(make_dsn: Callable[[], str]) -> str:
    """A store of this test."""
    return make_dsn()


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock(DAY + timedelta(days=1))


@pytest.fixture
def service(dsn: str, clock: SettableClock) -> Iterator[Offerlog]:
    """A service with an event each minute, of which one was lost, and a subscription at each position."""
    with open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False, project=False) as opened:
        for number in range(EVENTS):
            opened.record([signal("offered", visitor=number)])
            clock.advance(timedelta(minutes=1))
        for position in range(EVENTS + 1):
            opened.subscriptions.acknowledge(f"at-{position}", position)
        rows(dsn, "DELETE FROM offerlog_events WHERE notification_id = 5")
        yield opened


def test_each_follower_lags_by_the_events_behind_it(service: Offerlog) -> None:
    """In events, and in seconds by the first of them."""
    # given
    positions = [one.position for one in service.events()]
    # when
    found = {one.position: (one.lag_events, one.lag_seconds) for one in service.subscriptions.all()}
    # then
    behind = {at: [one for one in positions if one > at] for at in range(EVENTS + 1)}
    ages = {at: 60.0 * (EVENTS + 1 - min(ones, default=EVENTS + 1)) for at, ones in behind.items()}
    assert found == {at: (len(ones), ages[at]) for at, ones in behind.items()}


def test_beyond_a_bound_positions_are_counted(service: Offerlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them has no event here. The age is that of the first event behind in any case."""
    # given
    monkeypatch.setattr(lag, "_MAX_COUNTED", 3)
    few = subscriptions._SELECT.replace("LIMIT 10001", "LIMIT 4").replace("<= 10000", "<= 3")
    monkeypatch.setattr(subscriptions, "_SELECT", few)
    # when
    found = {one.position: one.lag_events for one in service.subscriptions.all()}
    # then
    assert found == {position: EVENTS - position for position in range(EVENTS + 1)}
    assert all(one.lag_seconds for one in service.subscriptions.all() if one.lag_events)


@pytest.mark.usefixtures("service")
def test_events_are_counted_once_for_all_followers(dsn: str) -> None:
    """Not again for each."""
    # given
    named = re.sub(r"%\((\w+)\)s", "NULL", subscriptions._SELECT)
    # when
    (((plan,),),) = rows(dsn, f"EXPLAIN (ANALYZE, FORMAT JSON) {named}")
    # then
    read = sum(
        one["Actual Rows"] * one["Actual Loops"]
        for one in nodes(plan["Plan"])
        if one.get("Relation Name", "").startswith("offerlog_events")
    )
    assert EVENTS <= read <= 3 * EVENTS
