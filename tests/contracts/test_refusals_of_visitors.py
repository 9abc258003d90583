"""Refusals are found by the visitor and the action map that their texts name, in memory and on PostgreSQL."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from offerlog import MalformedSignalError, Offerlog, Order, Reason, open_offerlog
from offerlog.testing import SettableClock
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, signal
from support.recount import rows


@pytest.fixture
def clock() -> SettableClock:
    """The clock of both services."""
    return SettableClock(DAY)


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], clock: SettableClock
) -> Iterator[Offerlog]:
    """An empty service of either kind."""
    with open_either(request.param, make_dsn, clock) as one:
        yield one


def reasons(service: Offerlog, **asked: Any) -> list[str]:
    """The reasons of the refusals that are found, in order."""
    return [one.reason.value for one in service.refusals(**asked) if one.reason is not None]


def test_each_refusal_that_names_a_visitor_is_found_by_the_visitor(
    service: Offerlog, clock: SettableClock
) -> None:
    """Whether it was decided, not tracked, malformed, or ended its parking; others' are not among them."""
    # given a visitor with a refusal of each kind, two seconds apart, and others' refusals
    other_map = an_id("another map")
    who = {"customerId": "visitor-1"}
    unmapped = {key: value for key, value in signal("offered").items() if key != "actionMapId"}
    late = signal("started", action=9, actionMapId=other_map)
    given: list[dict[str, object]] = [
        signal("completed"),
        signal("offered"),
        signal("rejected"),
        signal("offered", action=2),
        unmapped,
        {"eventType": "com.genesys.journey.OutcomeEvent", **who},
        late,
    ]
    for one in given:
        service.record([one])
        service.record(
            [signal("completed", visitor=2), b"no signal", {**unmapped, "customerId": "visitor-2"}]
        )
        clock.advance(timedelta(seconds=2))
    service.record([{**unmapped, "customerIdType": "email"}, {**unmapped, "customerId": 7}])
    clock.advance(timedelta(hours=1))
    assert service.expire().never_reachable == 1
    # when
    found = reasons(service, customer_id="visitor-1")
    # then
    assert found == ["not_tracked", "terminal_state", "malformed", "not_tracked", "never_reachable"]
    assert reasons(service, customer_id="visitor-1", order=Order.NEWEST) == found[::-1]
    assert reasons(service, customer_id="visitor-1", reason=Reason.MALFORMED) == ["malformed"]
    assert reasons(service, customer_id="visitor-1", action_map_id=an_id("map").upper()) == [
        "not_tracked",
        "terminal_state",
    ]
    assert reasons(service, action_map_id=other_map) == ["never_reachable"]
    assert reasons(service, customer_id="visitor-1", customer_id_type="email") == ["malformed"]
    assert reasons(service, customer_id="nobody") == []
    first, *_ = service.refusals(customer_id="visitor-1")
    behind = (first.recorded_at, first.number)
    assert reasons(service, customer_id="visitor-1", behind=behind) == found[1:]
    assert reasons(service, customer_id="visitor-1", until=DAY + timedelta(seconds=1)) == found[:1]
    assert reasons(service, customer_id="visitor-1", organization="other") == []
    with pytest.raises(MalformedSignalError, match="actionMapId: a hyphenated UUID is needed"):
        service.refusals(action_map_id="7")


def test_a_page_of_one_visitors_refusals_reads_as_many_rows_as_it_shows(dsn: str) -> None:
    """Whatever the number of others': the index by visitor is used, and its rows name nobody."""
    # given
    with open_offerlog(database_url=dsn, organization="default", keep_deadlines=False) as service:
        lines = [json.dumps(signal("completed", visitor=n % 500)).encode() for n in range(3_000)]
        service.record(lines)
        found = list(service.refusals(customer_id="visitor-7"))
    # when
    rows(dsn, "ANALYZE refusals")
    plan = rows(
        dsn,
        "EXPLAIN SELECT id FROM refusals WHERE organization = 'default' AND visitor_digest ="
        " (SELECT visitor_digest FROM refusals LIMIT 1) AND (recorded_at, id) > ('-infinity', 0)"
        " AND recorded_at < 'infinity' ORDER BY recorded_at, id LIMIT 250",
    )
    # then
    assert len(found) == 6
    assert "refusals_by_visitor" in str(plan)
    assert rows(dsn, "SELECT count(DISTINCT visitor_digest) FROM refusals") == [(500,)]
