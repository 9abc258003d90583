"""A store whose positions begin at the number of a shard works like any other (docs/decisions/0064)."""

from typing import Final

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.log.horizon import count_positions
from support.journeys import journeys
from support.positions import number_of
from support.recount import rows

_SHARD: Final = 8_191
"""The highest one: a position stays below 2^53, which JavaScript can hold."""

_FIRST: Final = (_SHARD << 40) + 1

_MANY: Final = 10_001
"""More events than are counted one by one."""


@pytest.fixture
def shard_dsn(dsn: str) -> str:
    """A store that has not drawn any position, numbered."""
    last = _FIRST + (1 << 40) - 2
    assert last < 1 << 53
    rows(
        dsn,
        f"ALTER SEQUENCE log_positions MINVALUE {_FIRST} MAXVALUE {last} START {_FIRST} RESTART",
    )
    return dsn


def test_nothing_counts_the_positions_before_those_of_the_shard(shard_dsn: str) -> None:
    """Lags are numbers of events; projections, proofs, rebuilds, feed and tree begin where the log begins."""
    # given
    with open_offerlog(database_url=shard_dsn, keep_deadlines=False, project=False) as service:
        assert (service.position(), {one.lag_events for one in service.projections()}) == (0, {0})
        position = number_of(service.record(journeys(14)).position)
        ((stored,),) = rows(shard_dsn, "SELECT count(*) FROM offerlog_events")
        # when nothing is projected, then
        assert position == _FIRST + stored - 1
        assert {one.lag_events for one in service.projections()} == {stored}
    # and when it is
    with open_offerlog(database_url=shard_dsn, keep_deadlines=False) as service:
        service.wait(position)
        _check_projections(service, position, stored)
        service.rebuild("performance")
        _check_projections(service, position, stored)
        # then followers begin with the first event as well
        events = list(service.feed.events())
        assert events[0].position >= _FIRST
        assert events[-1].position <= position
        assert list(service.feed.events(events[-2].position)) == events[-1:]
        # and the tree has all events
        assert service.evidence is not None
        report = service.evidence.verify()
        assert report.is_whole
        assert report.events + report.unsealed == stored


def _check_projections(service: Offerlog, position: int, stored: int) -> None:
    assert service.position() == position
    assert {(one.lag_events, one.short_by) for one in service.projections()} == {(0, 0)}
    assert [(one.differences, one.events) for one in service.verify()] == [((), stored)] * 3


def test_kinds_are_sampled_in_all_parts_of_the_log(shard_dsn: str) -> None:
    """A hundredth of its own positions is a part, and not one of all that are below them."""
    with open_offerlog(database_url=shard_dsn, keep_deadlines=False, project=False) as service:
        rows(
            shard_dsn,
            "INSERT INTO offerlog_events (originator_version, originator_id, topic, state)"
            " SELECT n, '00000000-0000-8000-8000-000000000000', 'unknown', '' FROM generate_series(1, %s) n",
            1000,
        )
        (kind,) = service.stored_kinds()
        assert kind.events == 1000
        assert 100 <= kind.sampled <= 103


def test_far_behind_the_lag_is_the_number_of_positions_of_the_shard(shard_dsn: str) -> None:
    """Of projections, of the tree and of subscriptions: nothing counts from 0."""
    with open_offerlog(database_url=shard_dsn, keep_deadlines=False, project=False) as service:
        service.subscriptions.acknowledge("bi", 0)
        service.record(journeys(2))
        rows(
            shard_dsn,
            "INSERT INTO offerlog_events (originator_version, originator_id, topic, state)"
            " SELECT n, '00000000-0000-8000-8000-000000000000', 'unknown', '' FROM generate_series(1, %s) n",
            _MANY,
        )
        ((stored,),) = rows(shard_dsn, "SELECT count(*) FROM offerlog_events")
        assert stored > _MANY
        # then
        assert {one.lag_events for one in service.projections()} == {stored}
        assert service.evidence is not None
        assert service.evidence.progress().lag_events == stored
        assert [one.lag_events for one in service.subscriptions.all()] == [stored]


@pytest.mark.parametrize("behind", [0, _FIRST - 1, _FIRST, _FIRST + 5])
def test_positions_are_counted_from_the_first_of_the_shard(behind: int) -> None:
    """From wherever a follower begins."""
    last = _FIRST + 99
    assert count_positions(behind, last) == last - max(behind, _FIRST - 1)
    assert count_positions(0, 0) == 0
    assert count_positions(3, 10) == 7
