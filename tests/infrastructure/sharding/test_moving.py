"""A slice that moves between shards: what was recorded of its visitors is there afterwards, and goes on."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from offerlog import Offerlog, ReportQuery, VisitorKey
from offerlog.testing import SettableClock
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.metrics import CountBy, Granularity, MetricSet
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation
from support.installations import Stores, make_stores
from support.journeys import DAY, an_id, journeys
from support.keyrings import run_keyring

_VISITORS: Final = 56
_LINES: Final = journeys(_VISITORS)


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others."""
    with make_stores(make_dsn, "8-f") as stores:
        yield stores


@pytest.fixture
def services(stores: Stores, dsn: str) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over all of them, and one over a single store, at the same time."""
    clock = SettableClock(DAY + timedelta(days=1))
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False) as single,
    ):
        yield sharded, single


def _compare(sharded: ShardedOfferlog, single: Offerlog) -> None:
    keys = [VisitorKey("cookie", f"visitor-{n}") for n in range(_VISITORS)]
    assert sharded.suppressions_of(keys) == single.suppressions_of(keys)
    for n in range(0, _VISITORS, 3):
        of_visitor: dict[str, Any] = {"customer_id": f"visitor-{n}"}
        of_offer = {**of_visitor, "action_map_id": an_id("map", n % 3)}
        assert sharded.history(**of_offer) == single.history(**of_offer)
        assert len(list(sharded.timeline(**of_visitor))) == len(list(single.timeline(**of_visitor)))
    for query in (
        ReportQuery("default"),
        ReportQuery("default", by=Granularity.HOUR, view=MetricSet.FULL),
        ReportQuery("default", by=Granularity.DAY, count_by=CountBy.VISITORS),
    ):
        assert sharded.report(query) == single.report(query)
    assert list(sharded.action_maps()) == list(single.action_maps())
    assert sharded.refusal_counts().counts == single.refusal_counts().counts
    assert sharded.organizations.contents() == single.organizations.contents()
    assert sorted(one.raw for one in sharded.parked()) == sorted(one.raw for one in single.parked())


def _move(stores: Stores, number: int, shard: int) -> Any:
    with Installation(None, stores.dsns[0], run_keyring()) as installation:
        return installation.move(number, shard, lambda _: None)


def test_slices_move_and_come_back(services: tuple[ShardedOfferlog, Offerlog], stores: Stores) -> None:
    """The answers stay those of a single store."""
    sharded, single = services
    for one in services:
        one.wait(one.record(_LINES).position)
    _compare(sharded, single)
    # when all slices have changed their places
    for number in range(16):
        _move(stores, number, 1 if number < 8 else 0)
    # then
    _compare(sharded, single)
    assert sharded.record(_LINES).outcomes == single.record(_LINES).outcomes
    # and when they come back
    for number in range(16):
        _move(stores, number, 0 if number < 8 else 1)
    _compare(sharded, single)
    assert sharded.record(_LINES).outcomes == single.record(_LINES).outcomes
