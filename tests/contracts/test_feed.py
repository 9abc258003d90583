"""What the feed promises, of a service in memory and of one on PostgreSQL alike."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from offerlog import (
    ArgumentError,
    FeedEvent,
    FeedFilter,
    Offerlog,
    PositionAheadError,
    SubscriptionLimitError,
    UnknownSubscriptionError,
    describe_event,
)
from offerlog.testing import SettableClock
from offerlog_application.feed.reading_feed import FeedPage
from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.event_source import LogPage
from offerlog_application.ports.positions import LogPosition, only_position
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, journeys, signal

STATES = ["offered", "rejected", "offered", "accepted", "started", "engaged"]
"""What the feed has of the signals of `fill`, in order."""


@pytest.fixture(params=EITHER_STORE)
def service(request: pytest.FixtureRequest, make_dsn: Callable[[], str]) -> Iterator[Offerlog]:
    """An empty service."""
    with open_either(request.param, make_dsn, SettableClock(DAY + timedelta(days=1))) as service:
        yield service


def fill(service: Offerlog) -> None:
    """One visitor turns an offer down, another one chats; a signal waits; one is of another organization."""
    service.record([json.dumps(signal(state, visitor=1)) for state in STATES[:2]])
    other: dict[str, Any] = {"visitor": 2, "actionMapId": an_id("other map")}
    service.record([json.dumps(signal(state, **other)) for state in STATES[2:]])
    service.record([json.dumps(signal("accepted", visitor=3))])
    service.record([json.dumps(signal("offered", visitor=4))], organization="another")


def names(events: list[FeedEvent]) -> list[str]:
    """The kinds of events."""
    return [one.name for one in events]


def test_events_come_once_in_order_and_a_page_says_how_far_the_log_was_read(service: Offerlog) -> None:
    """Also where nothing matches: so a reader that filters knows that it is not behind."""
    # given
    assert service.feed.page() == FeedPage([], 0, is_end=True)
    fill(service)
    # when
    everything = [*service.events()]
    found: list[FeedEvent] = []
    position: LogPosition = 0
    pages = 0
    while not (page := service.feed.page(position, limit=4)).is_end or page.events:
        found, position, pages = [*found, *page.events], page.position, pages + 1
    # then
    assert found == everything
    assert names(everything) == STATES
    assert pages == 2
    assert [one.position for one in found] == sorted({one.position for one in found})
    nothing = service.feed.page(wanted=FeedFilter.parse(["timedout"]))
    assert nothing == FeedPage([], position, is_end=True)
    assert only_position(position) > found[-1].position
    assert [one.name for one in service.events(organization="another")] == ["offered"]
    assert [*service.events(found[3].position)] == found[4:]


def test_a_page_reads_no_more_of_the_log_than_it_needs(
    service: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many events as are wanted; more at once only while few of them match."""
    # given
    fill(service)
    source, limits = service.feed._source, list[int]()
    read = source.read_page

    def read_page(after: int, limit: int, **more: Any) -> LogPage:
        limits.append(limit)
        return read(after, limit, **more)

    monkeypatch.setattr(source, "read_page", read_page)
    # when
    service.feed.page(limit=2)
    service.feed.page(limit=1, wanted=FeedFilter.parse(["timedout"]))
    # then
    assert limits == [2, 1, 4, 16]


def test_a_reader_gets_what_its_filter_admits_and_an_erasure_in_any_case(service: Offerlog) -> None:
    """After it, nothing that identifies the visitor is there; nothing fails."""
    # given
    fill(service)
    before = [*service.events(identified=True)]
    # when
    service.erase(customer_id="visitor-1")
    after = [*service.events(identified=True)]
    filtered = [*service.events(types=["io.offerlog.engaged.v1"], action_maps=[an_id("other map")])]
    # then
    assert names(after) == [*STATES, "visitor-erased"]
    assert names(filtered) == ["engaged", "visitor-erased"]
    assert before[0].identity is not None
    assert before[0].private is not None
    assert before[0].identity.id == "visitor-1"
    assert {(one.identity, one.private) for one in after if one.visitor == after[-1].visitor} == {
        (None, None)
    }
    assert names([one for one in after if one.visitor == after[-1].visitor]) == [
        *STATES[:2],
        "visitor-erased",
    ]
    assert after[2:6] == before[2:6]
    assert "customer_id" not in str(describe_event(after[0]))
    with pytest.raises(ArgumentError, match="'clicked' is not a type of events; these are: offered"):
        service.events(types=["clicked"])
    assert [*service.events(media_type="webchat", identified=True)] == after
    assert names([*service.events(media_type="contentOffer")]) == ["visitor-erased"]
    with pytest.raises(ArgumentError, match="'openAction' is not one of webchat, webMessagingOffer, cont"):
        service.events(media_type="openAction")


def test_an_event_is_a_cloud_event_without_anything_that_identifies_unless_asked_for(
    service: Offerlog,
) -> None:
    """Public fields alone: no id of a customer, a session or an action."""
    # given
    fill(service)
    # when
    thin, full = next(service.events()), next(service.events(identified=True))
    described, identified = describe_event(thin), describe_event(full)
    # then
    data = {
        "visitor": thin.subject[:18].replace("-", ""),
        "action_map_id": an_id("map"),
        "action_map_version": None,
        "action_map_name": None,
        "media_type": "webchat",
        "dated": True,
        "timeout_seconds": None,
        "state": "offered",
        "action_number": 1,
        "offered_at": "2025-03-10T10:00:00Z",
    }
    assert described == {
        "specversion": "1.0",
        "id": str(thin.position),
        "source": "urn:offerlog:default",
        "type": "io.offerlog.offered.v1",
        "subject": thin.subject,
        "sequence": "0000000001",
        "time": "2025-03-10T10:00:00Z",
        "recordedtime": "2025-03-11T10:00:00Z",
        "datacontenttype": "application/json",
        "data": data,
    }
    assert identified["data"] == {
        **data,
        "customer_id": "visitor-1",
        "customer_id_type": "cookie",
        "session_id": an_id("session", 1),
        "action_id": an_id("action", 1, 1),
        "event_id": an_id("event", 1, 1, "offered"),
    }
    assert {**described, "data": None} == {**identified, "data": None}


def test_positions_that_cannot_be_are_refused_and_a_closed_service_ends_its_readers(
    service: Offerlog,
) -> None:
    """A position beyond the end is of another log, or the log lost its end."""
    service.record(journeys(3))
    last = only_position(service.feed.page().position)
    assert service.feed.page(last) == FeedPage([], last, is_end=True)
    assert service.feed.end() == last
    with pytest.raises(PositionAheadError, match="lies beyond the end of the log"):
        next(service.events(last + 1_000))
    with pytest.raises(ArgumentError, match="after: -1 is not a position"):
        service.feed.page(-1)
    with pytest.raises(ArgumentError, match="limit: give 1 to 5,000 events, not 0"):
        service.feed.page(limit=0)
    followed = service.feed.follow()
    assert len(next(followed).events) == last
    service.close()
    with pytest.raises(ClosedError):
        next(followed)


def test_events_can_be_awaited(service: Offerlog) -> None:
    """The same events, as an asynchronous iterator."""
    fill(service)

    async def read() -> list[FeedEvent]:
        return [one async for one in service.aio.events(types=["offered"])]

    assert asyncio.run(read()) == [*service.events(types=["offered"])]


def test_a_subscription_keeps_a_cursor_and_tells_its_lag(service: Offerlog) -> None:
    """It is made by its first acknowledgement, never moves back, and lags by what the log has behind it."""
    # given
    fill(service)
    last = only_position(service.feed.page().position)
    # when
    made = service.subscriptions.acknowledge("warehouse", 2)
    moved = service.subscriptions.acknowledge("warehouse", 5)
    back = service.subscriptions.acknowledge("warehouse", 3)
    service.subscriptions.acknowledge("warehouse", last, organization="another")
    # then
    now = DAY + timedelta(days=1)
    assert (made.position, made.lag_events, made.moved_at) == (2, last - 2, None)
    assert (moved.position, moved.created_at, moved.moved_at, moved.lag_seconds) == (5, now, now, 0.0)
    assert back == moved
    assert service.subscriptions.all() == [moved]
    assert [(one.organization, one.lag_events) for one in service.subscriptions.of_all_organizations()] == [
        ("another", 0),
        ("default", last - 5),
    ]
    with pytest.raises(PositionAheadError):
        service.subscriptions.acknowledge("warehouse", last + 1)
    with pytest.raises(ArgumentError, match="'a b' cannot name a subscription"):
        service.subscriptions.acknowledge("a b")
    service.subscriptions.delete("warehouse")
    assert not service.subscriptions.all()
    with pytest.raises(UnknownSubscriptionError, match="there is no subscription 'warehouse'"):
        service.subscriptions.delete("warehouse")
    for number in range(100):
        service.subscriptions.acknowledge(f"number-{number}")
    with pytest.raises(SubscriptionLimitError, match="at most 100 subscriptions"):
        service.subscriptions.acknowledge("one-more")
