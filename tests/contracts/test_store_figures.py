"""The figures that operators watch are the same of a log in memory and of a store."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.store_figures import Backlog
from support.either_service import EITHER_STORE, open_either
from support.journeys import an_id, signal

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], clock: SettableClock
) -> Iterator[Offerlog]:
    """A service whose clock stands still."""
    with open_either(request.param, make_dsn, clock) as opened:
        yield opened


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock(NOW)


def test_backlog_and_refusals_are_counted_with_the_oldest(service: Offerlog, clock: SettableClock) -> None:
    """And become overdue when the periods of the service are over."""
    # given an empty log
    assert service.operations.figures().position == 0
    # when an invitation is made that times out, a signal is parked, and two are refused, one of them long ago
    clock.set(NOW - timedelta(days=3))
    service.record([json.dumps({"actionId": "x"})])
    clock.set(NOW)
    offered = signal("offered", visitor=1, timeoutSeconds=60, createdDate=NOW.isoformat())
    early = signal("started", visitor=2, createdDate=NOW.isoformat(), actionId=an_id("action", 99))
    service.record([json.dumps(one) for one in (offered, early, {"actionId": "x"})])
    service.catch_up()
    # then
    figures = service.operations.figures()
    assert figures.taken_at == NOW
    assert figures.organizations == ["default"]
    assert figures.position >= 2
    assert {one.name: one.lag_events for one in figures.projections} == dict.fromkeys(
        ("current_state", "performance", "suppression"), 0
    )
    assert figures.parked == Backlog(1, False, NOW)
    assert figures.overdue_parkings == figures.overdue_deadlines == Backlog()
    assert (figures.refusals, figures.usual_refusals) == ({"malformed": 1}, {"malformed": 1})
    assert figures.dead_letters == 0
    assert (figures.subscriptions, figures.webhooks) == ([], [])
    # when somebody follows the log
    service.subscriptions.acknowledge("bi")
    service.webhooks.create("https://shop.example/", after=0)
    figures = service.operations.figures()
    # then
    assert [(one.name, one.lag_seconds) for one in figures.subscriptions] == [("bi", 0.0)]
    assert figures.webhooks == service.webhooks.all()
    # and both are overdue when their time is over
    clock.set(NOW + timedelta(minutes=16))
    figures = service.operations.figures()
    assert figures.overdue_parkings == Backlog(1, False, NOW)
    assert figures.overdue_deadlines == Backlog(1, False, NOW + timedelta(minutes=1))
