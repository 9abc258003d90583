"""The time line of a visitor holds every event and every refusal, in memory and on PostgreSQL."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from offerlog import ArgumentError, MalformedSignalError, Offerlog, TimelineEntry
from offerlog.testing import SettableClock
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, signal

PAIR: Any = {"customer_id": "visitor-1", "action_map_id": an_id("map")}
OTHER_MAP = an_id("another map")


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


def fill(service: Offerlog, clock: SettableClock) -> None:
    """Record a visitor's story on two maps, ten seconds between two signals, among the signals of others."""
    story: list[dict[str, object]] = [
        signal("started"),
        signal("offered"),
        signal("accepted"),
        signal("offered", actionMapId=OTHER_MAP, action=7),
        signal("offered", action=2),
        signal("accepted", action=3),
        signal("offered", action=3),
        {key: value for key, value in signal("offered", action=9).items() if key != "actionMapId"},
        signal("abandoned"),
        signal("errored", actionMapId=OTHER_MAP, action=7, errorCode=45),
        signal("offered", actionMapId=OTHER_MAP, action=8),
        signal("engaged", actionMapId=OTHER_MAP, action=8),
    ]
    for one in story:
        service.record([one])
        service.record([signal("completed", visitor=2), signal("started", visitor=2), b"no signal"])
        clock.advance(timedelta(seconds=10))
    clock.advance(timedelta(hours=1))
    service.expire()


def summaries(entries: list[TimelineEntry]) -> list[tuple[object, ...]]:
    """What each entry says, without ids."""
    return [(one.kind, one.version, one.state, one.reason, one.ended_versions) for one in entries]


def test_a_pair_shows_every_event_and_every_refusal_in_order(service: Offerlog, clock: SettableClock) -> None:
    """Refused offers, parked signals, what ended them, and refusals of the same signals."""
    # given
    fill(service, clock)
    # when
    entries = list(service.timeline(**PAIR))
    # then
    assert summaries(entries) == [
        ("signal-parked", 1, "started", None, ()),
        ("offered", 2, "offered", None, ()),
        ("accepted", 3, "accepted", None, ()),
        ("started", 4, "started", None, (1,)),
        ("offer-refused", 5, "offered", "already_open", ()),
        ("refused", None, "offered", "already_open", ()),
        ("signal-parked", 6, "accepted", None, ()),
        ("offer-refused", 7, "offered", "already_open", (6,)),
        ("refused", None, "accepted", "offer_refused", ()),
        ("refused", None, "offered", "already_open", ()),
        ("abandoned", 8, "abandoned", None, ()),
    ]
    blocked = entries[4].blocked_by
    assert blocked is not None
    assert (blocked.action_id, blocked.state) == (an_id("action", 1, 1), "started")
    assert b'"started"' in (entries[0].text or b"")
    assert [one.action_id for one in entries if one.kind == "refused"] == [
        an_id("action", 1, n) for n in (2, 3, 3)
    ]


def test_a_visitor_shows_all_maps_and_why_a_second_offer_was_made(
    service: Offerlog, clock: SettableClock
) -> None:
    """The action before the second offer stands beside it; a malformed text has no map."""
    # given
    fill(service, clock)
    # when
    entries = list(service.timeline(customer_id="visitor-1"))
    # then
    assert len(entries) == 11 + 1 + 6
    assert [one.recorded_at for one in entries] == sorted([one.recorded_at for one in entries])
    (unmapped,) = [one for one in entries if one.action_map_id is None]
    assert (unmapped.kind, unmapped.field, unmapped.action_id) == ("refused", "actionMapId", None)
    offers = [one for one in entries if one.kind == "offered"]
    assert [one.previous_action for one in offers[:2]] == [None, None]
    before = offers[2].previous_action
    assert before is not None
    assert (before.action_id, before.state) == (an_id("action", 1, 7), "errored")
    (given_up,) = [one for one in entries if one.kind == "parking-ended"]
    assert (given_up.state, given_up.reason, given_up.ended_versions) == ("engaged", "never_reachable", (4,))


def test_a_time_line_can_be_continued_anywhere_and_cut_in_time(
    service: Offerlog, clock: SettableClock
) -> None:
    """Behind each entry come the entries that followed it."""
    # given
    fill(service, clock)
    entries = list(service.timeline(customer_id="visitor-1"))
    # when
    rests = [list(service.timeline(customer_id="visitor-1", behind=one.place)) for one in entries]
    then = list(service.timeline(customer_id="visitor-1", as_of=DAY + timedelta(seconds=30)))
    # then
    assert rests == [entries[n:] for n in range(1, len(entries) + 1)]
    assert then == [one for one in entries if one.recorded_at <= DAY + timedelta(seconds=30)]
    assert 0 < len(then) < len(entries)


def test_an_unknown_visitor_has_an_empty_time_line(service: Offerlog, clock: SettableClock) -> None:
    """So has another type of id and another organization; wrong ids are errors."""
    fill(service, clock)
    assert list(service.timeline(customer_id="nobody")) == []
    assert list(service.timeline(customer_id="visitor-1", customer_id_type="email")) == []
    assert list(service.timeline(customer_id="visitor-1", organization="other")) == []
    with pytest.raises(MalformedSignalError, match="customerId"):
        service.timeline(customer_id="")
    with pytest.raises(ArgumentError, match="as_of: a time with an offset is needed"):
        service.timeline(customer_id="v", as_of=DAY.replace(tzinfo=None))
