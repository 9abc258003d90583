"""The feed over several servers: every event once, in the order of its server's log, whatever is down."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from offerlog import FeedEvent, Offerlog, PositionVector, ShardUnavailableError
from offerlog.testing import SettableClock
from offerlog_application.feed.filters import FeedFilter
from offerlog_application.ports.event_source import PositionAheadError
from offerlog_application.ports.positions import (
    LogPosition,
    UnknownPositionError,
    by_shard,
    parse_position,
    shard_of_position,
)
from offerlog_application.reading.exports import Export, ExportRequest
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.composition import open_offerlog
from support.http_site import serving
from support.installations import Stores, make_stores, move_slice
from support.journeys import DAY, an_id, journeys, signal
from support.recount import until


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f; the first is behind a proxy."""
    with make_stores(make_module_dsn, "6-a", "b-f") as stores:
        yield stores


@pytest.fixture(scope="module")
def services(
    stores: Stores, make_module_dsn: Callable[[], str]
) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over all of them, and one over a single store with the same history."""
    clock = SettableClock(DAY + timedelta(days=1))
    single_dsn = make_module_dsn()
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=single_dsn, clock=clock, keep_deadlines=False) as single,
    ):
        for one in (sharded, single):
            one.record(journeys(60))
            one.record([signal("offered", visitor=1)], organization="another")
        yield sharded, single


def _read(service: Offerlog, after: LogPosition = 0, limit: int = 7) -> list[FeedEvent]:
    found: list[FeedEvent] = []
    while not (page := service.feed.page(after, limit=limit)).is_end or page.events:
        found += page.events
        after = page.position
    return found


def _facts(events: list[FeedEvent]) -> list[Any]:
    return sorted(
        (one.name, one.version, one.event and one.event.action_map_id, one.occurred_at) for one in events
    )


def _by_server(events: list[FeedEvent]) -> list[list[int]]:
    positions = [one.position for one in events]
    return [[one for one in positions if shard_of_position(one) == number] for number in range(3)]


def test_each_event_comes_once_and_in_the_order_of_its_server(
    services: tuple[ShardedOfferlog, Offerlog],
) -> None:
    """However small the pages are; and from the cursor of any event, those behind it."""
    sharded, single = services
    found = _read(sharded)
    assert _facts(found) == _facts(_read(single))
    assert [*sharded.events()] == _read(sharded, limit=500)
    assert _by_server(found) == _by_server([*sharded.events()])
    for number in range(3):
        own = [one.position for one in found if shard_of_position(one.position) == number]
        assert own
        assert own == sorted(set(own))
    assert {one.name for one in sharded.events(organization="another")} == {"offered"}
    for place in (0, 5, len(found) - 1):
        cursor = found[place].cursor
        assert isinstance(cursor, PositionVector)
        assert parse_position(str(cursor)) == cursor
        assert _by_server(_read(sharded, cursor)) == _by_server(found[place + 1 :])
    # and merged by time, as far as the order of each server allows
    assert len({shard_of_position(one.position) for one in found[:40]}) > 1


def test_a_number_is_a_position_of_the_home_and_an_event_of_another_server_is_no_cursor(
    services: tuple[ShardedOfferlog, Offerlog],
) -> None:
    """A reader may have kept it since before there were others: it misses none of theirs."""
    sharded, single = services
    everything = _read(sharded)
    of_home = [one.position for one in everything if shard_of_position(one.position) == 0]
    kept = [one.position for one in _read(sharded, of_home[4])]
    assert sorted(kept) == sorted(
        one.position
        for one in everything
        if shard_of_position(one.position) != 0 or one.position > of_home[4]
    )
    other = next(one for one in everything if shard_of_position(one.position) == 1)
    with pytest.raises(UnknownPositionError, match="go on from the cursor"):
        sharded.feed.page(other.position)
    end = sharded.feed.end()
    assert by_shard(end).keys() == {0, 1, 2}
    assert sharded.feed.page(end).is_end
    ahead = PositionVector((by_shard(end)[0], by_shard(end)[1], by_shard(end)[2] + 9))
    with pytest.raises(PositionAheadError):
        sharded.feed.page(ahead)
    with pytest.raises(UnknownPositionError, match="of several servers"):
        single.feed.page(end)


def test_a_server_that_is_down_is_named_and_its_events_come_later(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events of the others go on; there is no end without it, and nothing of it is passed over."""
    sharded, _ = services
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    everything = _read(sharded)
    for fail, mend in (
        (stores.proxy.go_away, stores.proxy.come_back),
        (stores.proxy.swallow, stores.proxy.pass_on),
    ):
        fail()
        try:
            first = sharded.feed.page(limit=10)
            assert first.events
            assert 1 not in {shard_of_position(one.position) for one in first.events}
            assert [isinstance(one, ShardUnavailableError) and one.shard for one in first.waits_for] == [1]
            assert not first.is_end
            found = [*first.events]
            with pytest.raises(ShardUnavailableError, match="shard 1"):
                found.extend(sharded.events(first.position))
            with pytest.raises(ShardUnavailableError):
                sharded.feed.end()
            follower = sharded.feed.follow(found[-1].cursor)
            waiting = next(follower)
            assert (waiting.events, len(waiting.waits_for)) == ([], 1)
        finally:
            mend()
        until(lambda: _is_up(sharded), 90)
        found += _read(sharded, found[-1].cursor)
        assert sorted(one.position for one in found) == sorted(one.position for one in everything)
        # and who followed meanwhile gets them
        later = [one for page in islice(follower, 1) for one in page.events]
        assert {shard_of_position(one.position) for one in later} == {1}


def _is_up(service: Offerlog) -> bool:
    try:
        return service.feed.page(service.feed.end()).is_end
    except ShardUnavailableError:
        return False


def test_a_subscription_keeps_a_part_on_each_server(services: tuple[ShardedOfferlog, Offerlog]) -> None:
    """It never moves back, tells the lag of all, and a server that lacks its part gets it."""
    sharded, _ = services
    everything = _read(sharded)
    made = sharded.subscriptions.acknowledge("warehouse", everything[9].cursor)
    assert made.position == everything[9].cursor
    assert made.lag_events >= len(everything) - 10
    assert sharded.subscriptions.acknowledge("warehouse", everything[3].cursor).position == made.position
    end = sharded.feed.end()
    moved = sharded.subscriptions.acknowledge("warehouse", end)
    assert (moved.position, moved.lag_events, moved.lag_seconds) == (end, 0, 0.0)
    assert sharded.subscriptions.all() == [moved]
    sharded._router.get(2).store.subscriptions.delete("default", "warehouse")
    lagging = sharded.subscriptions.find("warehouse")
    assert by_shard(lagging.position)[2] == 2 << 40
    assert lagging.lag_events > 0
    sharded.subscriptions.delete("warehouse")
    assert sharded.subscriptions.all() == []
    for number in range(3):
        assert sharded._router.get(number).store.subscriptions.all() == []


def test_an_export_has_the_events_and_actions_of_all(services: tuple[ShardedOfferlog, Offerlog]) -> None:
    """As that of a single store does; the next one has what came since."""
    sharded, single = services

    def rows(made: Export, left_out: set[str]) -> list[Any]:
        places = [n for n, one in enumerate(made.columns) if one.name not in left_out]
        found = [tuple(row[n] for n in places) for batch in made.batches for row in batch.rows]
        return sorted(found, key=repr)

    of_store = {"position", "last_position", "subject", "visitor", "recorded_at"}
    request = ExportRequest(is_identified=True)
    for kind in ("events", "actions"):
        of_all, of_one = (getattr(one.exports, kind)(request) for one in (sharded, single))
        found = rows(of_all, of_store)
        assert found == rows(of_one, of_store), kind
        assert len(found) > 60
        nothing = getattr(sharded.exports, kind)(ExportRequest(after=of_all.as_of))
        assert rows(nothing, set()) == []
    middle = _read(sharded)[20].cursor
    before, behind = (
        rows(sharded.exports.events(one), set())
        for one in (ExportRequest(as_of=middle), ExportRequest(middle))
    )
    assert (len(before), len(before) + len(behind)) == (21, len(_read(sharded)))


def test_over_http_cursors_are_vectors_and_a_stream_resumes(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch says for which server it waits; a stream says so in a comment, and goes on."""
    sharded, _ = services
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    everything = _read(sharded)
    with serving(sharded) as site, site.client() as client:
        first = client.get("/v1/events", params={"limit": 10})
        cursor = first.headers["offerlog-cursor"]
        assert cursor.count(".") == 2
        assert "offerlog-waits-for" not in first.headers
        rest = client.get("/v1/events", params={"lastEventId": cursor, "limit": 1000})
        ids = [one["id"] for one in [*first.json(), *rest.json()]]
        assert sorted(ids) == sorted(str(one.position) for one in everything)
        assert client.get("/v1/events", params={"lastEventId": "1.2"}).status_code == 400
        refused = client.get("/v1/events", params={"lastEventId": str((1 << 40) + 1)})
        assert (refused.status_code, refused.json()["field"]) == (400, "lastEventId")
        # a long poll ends with an event of any server
        end = rest.headers["offerlog-cursor"]
        recorded = threading.Timer(0.3, sharded.record, args=([signal("offered", visitor="late")],))
        recorded.start()
        late = client.get("/v1/events", params={"lastEventId": end, "timeout": 30_000})
        recorded.join(60)
        assert [one["type"] for one in late.json()] == ["io.offerlog.offered.v1"]
        # and a stream goes on where its last id was
        ids = _stream_ids(client, everything[7].cursor, 5)
        assert ids == [str(one.cursor) for one in islice(sharded.events(everything[7].cursor), 5)]
        stores.proxy.go_away()
        try:
            until(lambda: "offerlog-waits-for" in client.get("/v1/events").headers, 60)
            assert "shard 1" in client.get("/v1/events").headers["offerlog-waits-for"]
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(everything[-1].cursor)}
            with client.stream("GET", "/v1/events", headers=headers) as stream:
                assert stream.status_code == 200
                text = ""
                for piece in stream.iter_text():
                    text += piece
                    if "events follow when that is over" in text:
                        break
                assert ": shard 1 (slices: 6-a)" in text
        finally:
            stores.proxy.come_back()
        until(lambda: _is_up(sharded), 60)


def _stream_ids(client: Any, after: LogPosition, count: int) -> list[str]:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    ids: list[str] = []
    with client.stream("GET", "/v1/events", headers=headers) as stream:
        for line in stream.iter_lines():
            if line.startswith("id: "):
                ids.append(line[4:])
            if len(ids) == count:
                break
    return ids


def test_a_filter_holds_over_all_servers(services: tuple[ShardedOfferlog, Offerlog]) -> None:
    """And a page says how far the logs were read, also where nothing matches."""
    sharded, single = services
    chosen: dict[str, Any] = {"types": ["engaged"], "action_maps": [an_id("map", 1)]}
    assert _facts([*sharded.events(**chosen)]) == _facts([*single.events(**chosen)])
    nothing = sharded.feed.page(wanted=FeedFilter.parse(["qualified"]))
    assert (nothing.events, nothing.is_end) == ([], True)
    assert by_shard(nothing.position).keys() == {0, 1, 2}


def test_events_that_have_moved_come_at_their_old_place(make_dsn: Callable[[], str]) -> None:
    """Also on a second server, and at home again: a reader who was behind misses none."""
    with make_stores(make_dsn, "2-a", "b-f") as stores, stores.open() as service:
        service.record(journeys(60))
        service.catch_up()
        everything = _read(service)
        places = [0, 9, len(everything) // 2, len(everything)]
        cursors: list[LogPosition] = [0 if n == 0 else everything[n - 1].cursor for n in places]
        identified = {one.position: one.identity for one in service.events(identified=True)}

        def check() -> None:
            for place, cursor in zip(places, cursors, strict=True):
                for limit in (19, 500):
                    found = _read(service, cursor, limit)
                    assert _by_server(found) == _by_server(everything[place:])
            assert {one.position: one.identity for one in service.events(identified=True)} == identified

        for number in range(2):  # all that the home has recorded
            move_slice(stores, number, 1)
        check()
        move_slice(stores, 0, 2)
        check()
        move_slice(stores, 0, 0)
        check()
        service.wait(service.record([signal("offered", visitor=f"new {n}") for n in range(30)]).position)
        assert len(_read(service, cursors[-1])) == 30
