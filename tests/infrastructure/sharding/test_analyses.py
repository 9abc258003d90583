"""Analyses over several servers: they answer as a single store with the same signals does."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

import pytest

from offerlog import (
    Cohort,
    CountBy,
    KeptSignal,
    MetricSet,
    Offerlog,
    Order,
    Reason,
    RecentVisitor,
    ReportQuery,
    ShardUnavailableError,
    Stage,
    State,
    Suppression,
    VisitorKey,
    VisitorsPlace,
)
from offerlog.testing import SettableClock
from offerlog_application.ports.offer_reads import ListedOffer, ListPlace, OfferNumber
from offerlog_application.ports.positions import split_position
from offerlog_application.reading.performance_report import ReportTooLargeError
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.metrics import OfferEnd
from offerlog_domain.stream_ids import SLICES_BY_TOKEN, slice_of
from offerlog_infrastructure.composition import open_offerlog
from support.installations import Stores, make_stores, move_slice, shard_of
from support.journeys import DAY, an_id, blocked_event, journeys, signal
from support.recount import rows

T = TypeVar("T")

_VISITORS: Final = 70
_MAP: Final = an_id("map", 0)
_QUERIES: Final = [
    ReportQuery("default", view=MetricSet.FULL),
    ReportQuery("default", DAY + timedelta(minutes=15), DAY + timedelta(hours=1)),
    ReportQuery("default", media_type="contentOffer"),
    ReportQuery("default", action_maps=(_MAP,)),
    ReportQuery("default", DAY + timedelta(days=9)),
]
_NUMBERS: Final = [
    *((OfferNumber(state), Cohort.EVENT) for state in (State.OFFERED, State.REJECTED)),
    (OfferNumber(State.ACCEPTED), Cohort.OFFERED),
    (OfferNumber(State.REJECTED, Stage.FORM), Cohort.OFFERED),
    *((OfferNumber(State.OFFERED, None, end), Cohort.OFFERED) for end in (OfferEnd.OPEN, OfferEnd.LAPSED)),
]


def _lines() -> Sequence[bytes]:
    """Journeys, content offers, versions, refused offers of shared sessions, and blocked ones."""
    signals: list[dict[str, Any]] = []
    for n in range(_VISITORS):
        at = (DAY + timedelta(minutes=n)).isoformat()
        content: dict[str, Any] = {"actionMediaType": "contentOffer", "actionMapId": an_id("content")}
        own: dict[str, Any] = {"visitor": n, "action": 7, "createdDate": at, "actionMapVersion": n % 3}
        signals += [signal("offered", **own, **content), signal("accepted", **own, **content)]
        session = an_id("shared", n % 4)
        again: dict[str, Any] = {"visitor": n, "action": 8, "sessionId": session, "createdDate": at}
        signals.append(signal("offered", **again, actionMapId=an_id("map", n % 3)))
    # no shard but the one of visitor 0 has blocked offers of this map, and it has no action of it
    owner = an_id("elsewhere")
    signals += [
        blocked_event(0, 0, owner, "frequencyCap"),
        *(blocked_event(n, n, _MAP, "frequencyCap") for n in range(1, 9)),
    ]
    return [*journeys(_VISITORS), *(json.dumps(one).encode() for one in signals)]


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f; the first is behind a proxy."""
    with make_stores(make_module_dsn, "6-a", "b-f") as stores:
        yield stores


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    """The clock of both services."""
    return SettableClock(DAY + timedelta(hours=2))


@pytest.fixture(scope="module")
def services(
    stores: Stores, make_module_dsn: Callable[[], str], clock: SettableClock
) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over all of them, and one over a single store, with the same signals."""
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=make_module_dsn(), clock=clock, keep_deadlines=False) as single,
    ):
        elsewhere = [n for n in range(_VISITORS) if shard_of(sharded, n) != shard_of(sharded, 0)]
        here = [
            json.dumps(signal("offered", visitor=n, action=9, actionMapId=an_id("elsewhere"))).encode()
            for n in elsewhere
        ]
        for one in (sharded, single):
            one.record([*_lines(), *here])
            one.erase(customer_id="visitor-14")
            one.catch_up()
        yield sharded, single


def _list(
    service: Offerlog, query: ReportQuery, number: OfferNumber, between: Sequence[Callable[[], object]] = ()
) -> list[ListedOffer]:
    """List all offers behind a number, and do something behind each of the first pages."""
    found: list[ListedOffer] = []
    place, to_do = ListPlace(), [*between]
    while True:
        page = service.analysis.offers_behind(query, number, behind=place, limit=29)
        assert len(page.offers) <= 29
        found += page.offers
        if page.behind is None:
            assert not to_do
            return sorted(found)
        place = page.behind
        if to_do:
            to_do.pop()()


def _compare(sharded: Offerlog, single: Offerlog) -> None:
    both = sharded.analysis, single.analysis
    for query in _QUERIES:
        funnels = [replace(one.funnel(query), position=0) for one in both]
        assert funnels[0] == funnels[1]
        blocked = [replace(one.blocked_offers(query), position=0) for one in both]
        assert blocked[0] == blocked[1]
        times = [replace(one.times(query), position=0) for one in both]
        assert times[0] == times[1]
        for cohort, count_by in ((Cohort.OFFERED, CountBy.ACTIONS), (Cohort.EVENT, CountBy.VISITORS)):
            asked = replace(query, cohort=cohort, count_by=count_by)
            for by_version in (True, False):
                reports = [
                    replace(one.action_maps_report(asked, by_version=by_version), position=0) for one in both
                ]
                assert reports[0] == reports[1]
    query = _QUERIES[1]  # with a range, so a list by event has three parts
    for number, cohort in _NUMBERS:
        asked = replace(query, cohort=cohort)
        assert _list(sharded, asked, number) == _list(single, asked, number)


def test_all_answers_are_those_of_one_store_also_after_a_move(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list goes on where it was, and pages may look at a few actions of each server at once."""
    sharded, single = services
    _compare(sharded, single)
    found = single.analysis.blocked_offers(_QUERIES[0])
    assert found.total.sessions is not None
    assert 0 < found.total.sessions < found.total.visitors  # they are shared among servers
    assert len(split_position(sharded.analysis.funnel(_QUERIES[0]).position)) == 3
    proof = sharded.proof()
    events = [
        rows(dsn, "SELECT count(*), sum(notification_id::numeric ^ 2) FROM offerlog_events")[0]
        for dsn in stores.dsns
    ]
    assert proof.events == sum(count for count, _ in events)
    assert int(proof.digest) == sum(squares for _, squares in events)
    # when
    offered = _QUERIES[0], OfferNumber(State.OFFERED)
    moves = [lambda: move_slice(stores, 2, 1), lambda: move_slice(stores, 8, 2)]
    # then
    assert _list(sharded, *offered, moves) == _list(single, *offered)
    assert sharded.proof() == proof
    monkeypatch.setattr("offerlog_application.reading.offer_lists._ACTIONS_AT_ONCE", (9, 13, 13))
    _compare(sharded, single)


def _page_through(
    read: Callable[[Any], Generator[T]],
    place_of: Callable[[T], object],
    moves: Sequence[Callable[[], object]],
) -> list[T]:
    """Read a list page by page, each from the place of the last row, with moves in between."""
    found: list[T] = []
    to_do = [*moves]
    while True:
        with closing(read(place_of(found[-1]) if found else None)) as rows:
            page = list(islice(rows, 7))
        found += page
        if len(page) < 7:
            assert not to_do
            return found
        if to_do:
            to_do.pop()()


def test_lists_go_on_where_they_were_while_slices_move(
    services: tuple[ShardedOfferlog, Offerlog],
    stores: Stores,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each suppressed visitor, refusal and parked signal comes once, in the order of a single store."""
    sharded, single = services
    monkeypatch.setattr("offerlog_application.sharding.merged_signals._AT_ONCE", 5)
    monkeypatch.setattr("offerlog_application.sharding.ports_of_visitors._SUPPRESSIONS_AT_ONCE", 3)
    moves = [lambda: move_slice(stores, 8, 0), lambda: move_slice(stores, 12, 1)]
    # when
    suppressed = _page_through(
        lambda behind: sharded.suppressed_visitors(_MAP, behind=behind),
        lambda one: VisitorKey(one.customer_id_type, one.customer_id),
        moves,
    )
    # then
    expected = list(single.suppressed_visitors(_MAP))
    assert sorted(suppressed, key=repr) == sorted(expected, key=repr)
    slices = [SLICES_BY_TOKEN.index(_slice_of(sharded, one)) for one in suppressed]
    assert slices == sorted(slices)
    # and refusals, of which many have the same time
    for order in Order:
        back = [lambda: move_slice(stores, 8, 2)]  # its refusals stay behind those of the first page
        refused = _page_through(
            partial(_refusals, sharded, order),
            lambda one: (one.recorded_at, one.number),
            back if order is Order.NEWEST else [],
        )
        right = list(_refusals(single, order, None))
        assert len(refused) == len({one.number for one in refused}) > 20
        assert sorted(one.raw for one in refused) == sorted(one.raw for one in right)
        assert [one.recorded_at for one in refused] == [one.recorded_at for one in right]
    visitor: dict[str, Any] = {"customer_id": "visitor-7"}
    assert [one.raw for one in sharded.refusals(**visitor)] == [one.raw for one in single.refusals(**visitor)]
    # and parked signals, in one order, also if a slice moves while they are read
    for n in range(12):
        clock.advance(timedelta(seconds=1))
        for one in services:
            one.record([signal("accepted", visitor=n, action=50)])
    for one in services:
        one.catch_up()
    with closing(sharded.parked()) as waiting:
        parked = [*islice(waiting, 6)]
        move_slice(stores, 8, 0)
        parked += waiting
    right = list(single.parked())
    assert sorted(one.raw for one in parked) == sorted(one.raw for one in right)
    assert [one.recorded_at for one in parked] == [one.recorded_at for one in right]
    assert [one.raw for one in parked[-12:]] == [one.raw for one in right[-12:]]


def test_recent_visitors_come_once_while_a_slice_moves(
    services: tuple[ShardedOfferlog, Offerlog],
    stores: Stores,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest first, whoever recorded their newest event and wherever it lies now."""
    sharded, single = services
    # given visitors who come again, together or one after the other: by now some are on other servers
    for number, some in enumerate((range(_VISITORS), *((n,) for n in range(0, _VISITORS, 7)))):
        clock.advance(timedelta(hours=1))
        again: dict[str, Any] = {"action": 100 + number, "actionMapId": an_id("again")}
        for one in services:
            one.record([signal("offered", visitor=n, **again) for n in some])
    moves = [lambda: move_slice(stores, 11, 0)]
    for media_type, limit, at_once in ((None, 11, (9, 30, 30)), ("contentOffer", 3, (2, 2, 30))):
        monkeypatch.setattr("offerlog_application.sharding.merged_visitors._EVENTS_AT_ONCE", at_once)
        # when
        found: list[RecentVisitor] = []
        place: VisitorsPlace | None = None
        while not found or place is not None:
            page = sharded.analysis.recent_visitors(behind=place, limit=limit, media_type=media_type)
            assert len(page.visitors) <= limit
            found += page.visitors
            place = page.behind
            if moves:
                moves.pop()()
        # then
        expected = single.analysis.recent_visitors(limit=1_000, media_type=media_type).visitors
        assert sorted(_without_position(found)) == sorted(_without_position(expected))
        times = [one.recorded_at for one in found]
        assert times == sorted(times, reverse=True)
        assert len({one.customer_id for one in found}) == len(found) >= _VISITORS - 1


def _without_position(visitors: Sequence[RecentVisitor]) -> list[str]:
    return [repr(one._replace(position=0)) for one in visitors]


def _refusals(service: Offerlog, order: Order, behind: Any) -> Generator[KeptSignal]:
    return service.refusals(order=order, reason=Reason.TERMINAL_STATE, behind=behind)


def _slice_of(service: Offerlog, one: Suppression) -> int:
    return slice_of(service._service.digest("default", VisitorKey(one.customer_id_type, one.customer_id)))


def test_what_is_too_large_is_too_large_for_all_servers_together(
    services: tuple[ShardedOfferlog, Offerlog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no server has too much alone; sessions are not counted then."""
    sharded, single = services
    accepted = single.analysis.times(_QUERIES[0]).total[State.ACCEPTED].actions
    remembered = single.analysis.blocked_offers(_QUERIES[0]).total.remembered
    monkeypatch.setattr("offerlog_application.reading.analysis.MAX_ACTIONS_MEASURED", accepted - 1)
    monkeypatch.setattr("offerlog_application.reading.analysis.MAX_SESSIONS_READ", remembered - 1)
    for one in (sharded, single):
        with pytest.raises(ReportTooLargeError):
            one.analysis.times(_QUERIES[0])
        assert one.analysis.blocked_offers(_QUERIES[0]).total.sessions is None


def test_a_server_that_is_down_is_named(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no analysis leaves its visitors out."""
    sharded, _ = services
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    asked: list[Callable[[], object]] = [
        lambda: sharded.analysis.funnel(_QUERIES[0]),
        lambda: sharded.analysis.blocked_offers(_QUERIES[0]),
        lambda: sharded.analysis.times(_QUERIES[0]),
        lambda: sharded.analysis.action_maps_report(_QUERIES[0]),
        lambda: list(sharded.refusals()),
        sharded.analysis.recent_visitors,
        lambda: next(sharded.suppressed_visitors(_MAP)),
        lambda: sharded.analysis.offers_behind(_QUERIES[0], OfferNumber(State.OFFERED)),
    ]
    stores.proxy.go_away()
    try:
        for ask in asked:
            with pytest.raises(ShardUnavailableError, match="shard 1 "):
                ask()
    finally:
        stores.proxy.come_back()
