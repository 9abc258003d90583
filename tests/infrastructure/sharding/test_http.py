"""The HTTP service over several servers: a shard that is down harms its own visitors alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore
from typing import Any, Final, NoReturn

import httpx
import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from support.http_site import Site, serving
from support.installations import Stores, make_stores, shard_of
from support.journeys import an_id, signal
from support.recount import until

_VISITORS: Final = 30
_REPORT: Final = "/v1/reports/action-map-performance"


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others behind a proxy."""
    with make_stores(make_dsn, "8-f") as stores:
        yield stores


@pytest.fixture
def site(stores: Stores) -> Iterator[Site]:
    """The HTTP service over both."""
    with stores.open() as service, serving(service) as site:
        yield site


def _suppressions(client: httpx.Client, visitor: int) -> httpx.Response:
    return client.get("/v1/suppressions", params={"customer_id": f"visitor-{visitor}"})


def _eligibility(client: httpx.Client, visitor: int) -> httpx.Response:
    asked = {"customer_id": f"visitor-{visitor}", "action_map_id": an_id("map")}
    return client.get("/v1/eligibility", params=asked)


def _history(client: httpx.Client, visitor: int) -> httpx.Response:
    asked = {"customer_id": f"visitor-{visitor}", "action_map_id": an_id("map")}
    return client.get("/v1/history", params=asked)


def _list_all(client: httpx.Client, path: str, **asked: str) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next_cursor": None}
    while not found or page["next_cursor"] is not None:
        cursor = {"cursor": page["next_cursor"]} if found else {}
        page = client.get(path, params=asked | cursor).json()
        found += page["items"]
    return found


def test_it_serves_and_says_what_it_does_not(site: Site) -> None:
    """Positions are texts, an ETag holds while nothing changes, and the rest is a problem of its own."""
    with site.client() as client:
        # when
        lines = [signal(state, visitor=n) for n in range(_VISITORS) for state in ("offered", "rejected")]
        answer = client.post("/v1/signals", json=lines).json()
        # then
        assert {one["outcome"] for one in answer["outcomes"]} == {"recorded"}
        home, shard = answer["position"].split(".")
        assert (int(home) >> 40, int(shard) >> 40) == (0, 1)
        site.service.catch_up()
        for n in range(_VISITORS):
            found = _suppressions(client, n).json()
            assert len(found["suppressions"]) == 1
            assert found["position"] == int(shard if shard_of(site.service, n) else home)
        asked = {"visitors": [{"customerId": f"visitor-{n}"} for n in range(_VISITORS)]}
        batch = client.post("/v1/suppressions:batch", json=asked).json()
        assert batch["position"] == answer["position"]
        assert all(one["suppressions"] for one in batch["visitors"])
        report = client.get(_REPORT)
        assert report.json()["rows"][0]["metrics"]["nWebActionsOffered"] == _VISITORS
        unchanged = client.get(_REPORT, headers={"If-None-Match": report.headers["etag"]})
        assert unchanged.status_code == 304
        # and analyses
        for name in ("funnel", "times", "blocked-offers", "action-maps"):
            found = client.get(f"/v1/reports/{name}")
            assert (found.status_code, found.json()["position"]) == (200, answer["position"]), name
            assert client.get(f"/v1/reports/{name}", params={"format": "csv"}).status_code == 200
        listed = _list_all(client, f"{_REPORT}/visitor-offers", metric="rejected", limit="7")
        assert {one["customer_id"] for one in listed} == {f"visitor-{n}" for n in range(_VISITORS)}
        listed = _list_all(client, "/v1/visitors", limit="7")
        assert [one["event"] for one in listed] == ["rejected"] * _VISITORS
        assert len({one["customer_id"] for one in listed}) == _VISITORS
        assert client.get("/v1/refusals").json()["items"] == []
        proof = client.get(_REPORT, params={"proof": "true"}).json()["proof"]
        assert (proof["position"], proof["events"]) == (answer["position"], 2 * _VISITORS)
        # and monitors
        assert client.get("/readyz").json()["waits_for"] is None
        assert 'offerlog_projection_lag_events{projection="performance@1"} 0.0' in client.get("/metrics").text


def test_a_shard_that_is_down_is_503_for_its_visitors_alone(
    site: Site, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the service stays ready, as a balancer would take it from everyone else."""
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    up = next(n for n in range(_VISITORS) if shard_of(site.service, n) == 0)
    down = next(n for n in range(_VISITORS) if shard_of(site.service, n) == 1)
    with site.client() as client:
        # given
        both = [signal("offered", visitor=n) for n in (up, down)]
        assert client.post("/v1/signals", json=both).status_code == 200
        stores.proxy.go_away()
        # when
        refused = client.post("/v1/signals", json=signal("accepted", visitor=down))
        # then
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
        assert "shard 1 (slices: 8-f)" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        for answer in (_suppressions(client, down), client.get(_REPORT), client.get("/v1/reports/funnel")):
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        partly = [signal("accepted", visitor=n) for n in (up, down)]
        in_part = client.post("/v1/signals", json=partly)
        assert (in_part.status_code, in_part.json()["type"]) == (503, "/problems/outcome-unknown")
        assert "a part of the request was recorded" in in_part.json()["detail"]
        assert client.post("/v1/signals", json=signal("started", visitor=up)).status_code == 200
        assert _suppressions(client, up).status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert "shard 1" in ready.json()["waits_for"]
        # and later
        stores.proxy.come_back()
        until(lambda: client.post("/v1/signals", json=both).status_code == 200, 60)
        assert client.get(_REPORT).status_code == 200
        assert an_id("map") in client.get(_REPORT).text


def test_a_shard_that_hangs_holds_up_its_visitors_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them ask: they have threads of their own."""
    assert isinstance(site.service, ShardedOfferlog)
    up, down = (next(n for n in range(_VISITORS) if shard_of(site.service, n) == one) for one in (0, 1))
    hanging, asked, goes_on = site.service._router.get(1).store, Semaphore(0), Event()

    def hang(*_: object) -> NoReturn:
        asked.release()
        goes_on.wait(120)
        raise StoreUnavailableError("it hung")

    monkeypatch.setattr(hanging.log, "newest_action", hang)
    monkeypatch.setattr(hanging.reads, "suppressions_of_visitor", hang)
    monkeypatch.setattr(hanging.reads, "suppressions_of_visitors", hang)
    monkeypatch.setattr(hanging.streams, "events", hang)
    monkeypatch.setattr(hanging.performance, "slots", hang)
    with site.client() as client, site.client() as others, ThreadPoolExecutor(_VISITORS) as threads:
        # given more questions about its visitors than the service has threads
        hung = [threads.submit(_eligibility, others, down) for _ in range(10)]
        hung += [threads.submit(_suppressions, others, down) for _ in range(10)]
        hung += [threads.submit(_history, others, down) for _ in range(5)]
        hung += [threads.submit(others.get, _REPORT) for _ in range(5)]
        try:
            assert all(asked.acquire(timeout=60) for _ in range(7))  # two of each, and one more
            # when somebody asks about another's visitor, then there are threads
            answers = [
                (_eligibility(client, up), _suppressions(client, up), _history(client, up)) for _ in range(3)
            ]
            assert {one.status_code for three in answers for one in three} == {200}
            assert not any(one.done() for one in hung)
        finally:
            goes_on.set()
        assert {one.result(60).status_code for one in hung} == {503}
