"""Live reports over several servers: the figures of all, or the reason why they do not come."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from offerlog import Offerlog
from offerlog_application.ports.keys import Role
from support.http_site import serving
from support.installations import Stores, make_stores, move_slice, shard_of, visitors_of_slice
from support.journeys import an_id, signal
from support.pages.fixtures import launched

_VISITORS: Final = 60
_OFFERED: Final = "nWebActionsOffered"


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f; the first is behind a proxy."""
    with make_stores(make_module_dsn, "6-a", "b-f") as stores:
        yield stores


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def _record(service: Offerlog, visitors: range) -> None:
    service.wait(service.record([signal("offered", visitor=n) for n in visitors]).position)


def _count(event: dict[str, Any]) -> int:
    return sum(row["metrics"][_OFFERED] for row in event["rows"])


def _watch(events: Iterator[dict[str, Any]], last: int) -> list[int]:
    """Return the offers up to the last one, as the stream sends them."""
    counts = [0]
    while counts[-1] != last:
        event = next(events)
        if event.get("rows"):
            counts.append(_count(event))
    return counts


def test_a_stream_has_the_figures_of_all_servers_and_names_one_that_is_down(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays open, and goes on when the server is back; so does the page of a browser."""
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    with (
        stores.open() as service,
        serving(service) as site,
        site.client() as client,
        client.stream("GET", "/v1/stream") as stream,
        launched() as browser,
    ):
        _record(service, range(_VISITORS))
        events = _events(stream.iter_lines())
        page = browser.new_page()
        page.goto(site.url)
        page.get_by_label("Key of a reporter or an admin").fill(site.key(Role.REPORTER))
        page.keyboard.press("Enter")
        offered = page.locator("#tiles > *").first
        expect(offered).to_contain_text(str(_VISITORS), timeout=30_000)
        expect(page.locator("#live")).to_contain_text("live", timeout=30_000)
        # when some more are offered
        _record(service, range(_VISITORS + 10))
        # then
        counts = _watch(events, _VISITORS + 10)
        assert counts == sorted(counts)
        expect(offered).to_contain_text(str(_VISITORS + 10), timeout=30_000)
        # and when a server is down
        stores.proxy.go_away()
        try:
            reason = next(one["reason"] for one in events if one.get("reason"))
            assert "shard 1 (slices: 6-a)" in reason
            expect(page.locator("#live")).to_contain_text("waits: shard 1 (slices: 6-a)", timeout=30_000)
            expect(offered).to_contain_text(str(_VISITORS + 10))
        finally:
            stores.proxy.come_back()
        assert next(one for one in events if "reason" in one and one["reason"] is None)
        down = next(n for n in range(1_000, 2_000) if shard_of(service, n) == 1)
        _record(service, range(down, down + 1))
        last = next(one for one in events if one.get("rows"))
        assert _count(last) == _VISITORS + 11
        assert last["position"].count(".") == 2
        expect(page.locator("#live")).to_contain_text("live", timeout=30_000)
        expect(offered).to_contain_text(str(_VISITORS + 11), timeout=30_000)


def test_a_move_neither_doubles_nor_loses_counts(stores: Stores) -> None:
    """Also where an event had moved away before its change was looked for on the server that counted it."""
    action_map = an_id("map of the move")
    with (
        stores.open() as service,
        serving(service) as site,
        site.client() as client,
        client.stream("GET", "/v1/stream") as stream,
    ):
        events = _events(stream.iter_lines())
        early, late, *_ = visitors_of_slice(service, 11, 400)
        before = service.counts.read()
        # when an event is recorded, its slice moves, and another one is recorded
        _offer(service, early, action_map)
        move_slice(stores, 11, 0)
        after = service.counts.read()
        _offer(service, late, action_map)
        # then the log of the server that has counted the first event does not have it any more
        assert service.counts.changed_maps(before, after) is None
        # and from then on, the maps of the new events have
        later = service.counts.read()
        assert service.counts.changed_maps(after, later) == {"default": {action_map}}
        assert service.counts.changed_maps(later, service.counts.read()) == {}
        assert later.mark != after.mark
        # and the stream has each of them once
        counts = [0]
        while counts[-1] != 2:
            rows = next(one["rows"] for one in events if one.get("rows"))
            counts += [row["metrics"][_OFFERED] for row in rows if row["action_map_id"] == action_map]
        assert counts == sorted(counts)


def _offer(service: Offerlog, customer_id: str, action_map: str) -> None:
    number = customer_id.removeprefix("visitor-")
    service.wait(service.record([signal("offered", visitor=number, actionMapId=action_map)]).position)
