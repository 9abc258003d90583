"""A service over three stores answers as one over a single store does."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Final

import pytest

from offerlog import NoSuchVisitorError, Offerlog, OfferMade, PositionVector, ReportQuery, VisitorKey
from offerlog.testing import SettableClock
from offerlog_application.sharding import added_counts
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet
from offerlog_domain.stream_ids import slice_of
from offerlog_infrastructure.http.metrics import ServiceMetrics
from support.installations import Stores, make_stores, move_slice, shard_of
from support.journeys import DAY, an_id, blocked_event, journeys, signal
from support.recount import rows

_VISITORS: Final = 56
"""Enough that each of three shards has some of them; the secret of an organization is random."""

_LINES: Final = [
    *journeys(_VISITORS),
    b"no signal",
    json.dumps(blocked_event(1, 1, an_id("map"), "frequencyCap")).encode(),
    json.dumps(signal("offered", visitor=3, sessionId="no id")).encode(),
]

_ADDED: Final = (
    "offerlog_parked_signals",
    "offerlog_overdue_parked_signals",
    "offerlog_overdue_deadlines",
    "offerlog_dead_letters",
    "offerlog_organizations",
    "offerlog_last_checkpoint_events",
    "offerlog_last_checkpoint_timestamp_seconds",
    "offerlog_sealed_events",
    "offerlog_seal_lag_events",
    "offerlog_seal_lag_seconds",
    'offerlog_refusals_last_day{reason="malformed"}',
)
"""Metrics of several servers that are those of one."""


@pytest.fixture(scope="module")
def open_of(make_module_dsn: Callable[[], str]) -> Iterator[Callable[[str], ShardedOfferlog]]:
    """Opens a service of an organization; the tests that look at one organization share the stores."""
    clock = SettableClock(DAY + timedelta(days=1))
    with make_stores(make_module_dsn, "6-a", "b-f") as stores, ExitStack() as opened:
        yield lambda name: opened.enter_context(stores.open(clock=clock, organization=name))


def test_it_answers_as_a_single_store_does(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """Outcomes in input order, with wrong lines among them; then whatever is read."""
    sharded, single = services
    # when
    receipts = [one.record(_LINES) for one in services]
    # then
    assert receipts[0].outcomes == receipts[1].outcomes
    for number, address in enumerate(stores.dsns):
        visitors = {n for n in range(_VISITORS) if shard_of(sharded, n) == number}
        assert visitors
        assert rows(address, "SELECT count(*) FROM visitors") == [(len(visitors),)]
    # and once the positions are shown
    for one, receipt in zip(services, receipts, strict=True):
        one.wait(receipt.position)
    _compare_visitors(sharded, single)
    _compare_lists(sharded, single)
    # and again
    assert sharded.record(_LINES).outcomes == single.record(_LINES).outcomes


def _compare_visitors(sharded: ShardedOfferlog, single: Offerlog) -> None:
    keys = [VisitorKey("cookie", f"visitor-{n}") for n in range(_VISITORS)]
    assert sharded.suppressions_of(keys) == single.suppressions_of(keys)
    for n in range(0, _VISITORS, 3):
        of_visitor: dict[str, Any] = {"customer_id": f"visitor-{n}"}
        of_offer = {**of_visitor, "action_map_id": an_id("map", n % 3)}
        assert sharded.suppressions(**of_visitor) == single.suppressions(**of_visitor)
        assert sharded.check_eligibility(**of_offer) == single.check_eligibility(**of_offer)
        assert sharded.history(**of_offer) == single.history(**of_offer)
        assert len(list(sharded.timeline(**of_visitor))) == len(list(single.timeline(**of_visitor)))
        assert sharded.analysis.visitor(**of_visitor) == single.analysis.visitor(**of_visitor)


def _compare_lists(sharded: ShardedOfferlog, single: Offerlog) -> None:
    for query in (
        ReportQuery("default"),
        ReportQuery("default", by=Granularity.HOUR, view=MetricSet.FULL),
        ReportQuery("default", by=Granularity.DAY, count_by=CountBy.VISITORS),
        ReportQuery("default", cohort=Cohort.OFFERED, action_maps=(an_id("map", 1),)),
    ):
        assert sharded.report(query) == single.report(query)
    assert list(sharded.action_maps()) == list(single.action_maps())
    assert sharded.refusal_counts().counts == single.refusal_counts().counts
    assert sharded.organizations.contents() == single.organizations.contents()
    for map_number in range(3):
        listed = [
            sorted(one.suppressed_visitors(an_id("map", map_number)), key=lambda row: row.customer_id)
            for one in (sharded, single)
        ]
        assert listed[0] == listed[1]
        parts = list(sharded.suppressed_visitors(an_id("map", map_number)))
        middle = VisitorKey(parts[2].customer_id_type, parts[2].customer_id)
        assert list(sharded.suppressed_visitors(an_id("map", map_number), behind=middle)) == parts[3:]
    assert sorted(one.raw for one in sharded.parked()) == sorted(one.raw for one in single.parked())
    assert [proof.differences for proof in sharded.verify()] == [()] * 9


def test_asyncio_waits_for_positions_of_several_servers(open_of: Callable[[str], ShardedOfferlog]) -> None:
    """As a thread does."""
    sharded = open_of("asyncio")

    async def record() -> int:
        receipt = await sharded.aio.record(_LINES)
        assert isinstance(receipt.position, PositionVector)
        await sharded.aio.wait(receipt.position)
        return len((await sharded.aio.report(ReportQuery("asyncio"))).rows)

    assert asyncio.run(record()) == 3


def test_an_offer_is_made_once_and_its_position_is_one_number(
    open_of: Callable[[str], ShardedOfferlog],
) -> None:
    """The position names the shard of the visitor."""
    sharded = open_of("offers")
    for n in range(12):
        asked: dict[str, Any] = {"customer_id": f"visitor-{n}", "action_map_id": an_id("map")}
        asked["session_id"] = an_id(1)
        made = sharded.offer(**asked)
        assert isinstance(made, OfferMade)
        assert made.position is not None
        assert made.position >> 40 == shard_of(sharded, n)
        assert not isinstance(sharded.offer(**asked), OfferMade)
        sharded.wait(made.position)


def test_a_visitor_is_erased_where_the_visitor_lies(services: tuple[ShardedOfferlog, Offerlog]) -> None:
    """The counts stay."""
    sharded, single = services
    for one in services:
        one.wait(one.record(journeys(14)).position)
    before = sharded.report(ReportQuery("default"))
    for n in range(5):
        sharded.hold_visitor(customer_id=f"visitor-{n}", reason="a lawsuit")
    assert {hold.visitor.id for hold in sharded.legal_holds()} == {f"visitor-{n}" for n in range(5)}
    for n in range(5):
        assert sharded.lift_hold(customer_id=f"visitor-{n}")
        assert sharded.visitor_data(customer_id=f"visitor-{n}")
        sharded.erase(customer_id=f"visitor-{n}")
        with pytest.raises(NoSuchVisitorError):
            sharded.visitor_data(customer_id=f"visitor-{n}")
    assert sharded.report(ReportQuery("default")) == before == single.report(ReportQuery("default"))


def test_time_outs_are_recorded_on_every_shard(open_of: Callable[[str], ShardedOfferlog]) -> None:
    """In one call."""
    sharded = open_of("time-outs")
    clock = sharded._router.home.writer._clock._clock
    assert isinstance(clock, SettableClock)
    lines = [signal("offered", visitor=n, timeoutSeconds=30) for n in range(_VISITORS)]
    sharded.wait(sharded.record(lines).position)
    clock.advance(sharded._router.home.writer.rules.deadline_grace * 2)
    assert sharded.expire().timedout == _VISITORS
    assert sharded.expire().timedout == 0


def test_metrics_of_the_stores_add_up(services: tuple[ShardedOfferlog, Offerlog]) -> None:
    """To those of a single store with the same signals."""
    lines = [json.dumps(signal("accepted", visitor=n)) for n in range(12)]
    lines += [json.dumps(signal("offered", visitor=n, sessionId="no id")) for n in range(12, 16)]
    found = []
    for one in services:
        one.record([*lines, *(json.dumps(signal("offered", visitor=n)) for n in range(20, 40))])
        one.catch_up()
        assert one.evidence is not None
        one.evidence.catch_up()
        text = ServiceMetrics(one).exposition().decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        found.append({name: values[name] for name in _ADDED})
    assert found[0] == found[1]
    assert found[0]["offerlog_parked_signals"] == "12.0"
    assert found[0]['offerlog_refusals_last_day{reason="malformed"}'] == "4.0"
    assert found[0]["offerlog_sealed_events"] != "0.0"


def test_the_list_of_action_maps_has_a_map_whose_only_slice_moves_meanwhile(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the page of the one server, and before that of the other. Pages are small here."""
    monkeypatch.setattr(added_counts, "_NAMES_AT_ONCE", 2)
    sharded, single = services
    moving = next(n for n in range(1_000) if shard_of(sharded, n) == 2)
    slice_ = slice_of(sharded._service.digest("default", VisitorKey("cookie", f"visitor-{moving}")))
    for one in services:
        one.wait(
            one.record(
                [*journeys(20), signal("offered", visitor=moving, actionMapId=an_id("alone"))]
            ).position
        )
    performance = sharded._router.get(2).store.performance
    action_maps, moved = performance.action_maps, list[object]()

    def move_before(*arguments: Any) -> Any:
        if not moved:
            moved.append(move_slice(stores, slice_, 0))
        yield from action_maps(*arguments)

    monkeypatch.setattr(performance, "action_maps", move_before)
    # when
    found = list(sharded.action_maps())
    # then
    assert moved
    assert found == list(single.action_maps())
