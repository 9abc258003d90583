"""GET /v1/events: batches, long poll, Server-Sent Events, and subscriptions."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.routes import events
from offerlog_infrastructure.http.streams import feed_waits
from support.http_site import SharedService, Site, served
from support.journeys import an_id, signal
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

STATES = ["offered", "accepted", "started", "engaged"]


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for the tests here, and an organization for each."""
    return shared_site


def record(site: Site, visitor: int, *states: str, **more: Any) -> None:
    """Record one signal after the other, so that the positions have their order."""
    for state in states:
        site.service.record([json.dumps(signal(state, visitor=visitor, **more))])


def kinds(batch: httpx.Response) -> list[str]:
    """The kinds of the events of a batch."""
    assert batch.status_code == 200, batch.text
    return [one["type"].removeprefix("io.offerlog.").removesuffix(".v1") for one in batch.json()]


def cursor(batch: httpx.Response) -> str:
    """Where a batch says to go on."""
    return batch.headers["Offerlog-Cursor"]


def test_batches_follow_each_other_by_cursor_link_or_event_id(site: Site) -> None:
    """As HTTP Feeds has it: an empty batch is the end. The filter and the rights are those of the key."""
    with site.client(Role.REPORTER) as reporter, site.client(Role.EVENTS) as officer:
        # given
        start = cursor(reporter.get("/v1/events", params={"lastEventId": "latest"}))
        record(site, 1, *STATES)
        record(site, 2, "offered", actionMapId=an_id("other map"), actionMapName="Another map")
        # when
        first = reporter.get("/v1/events", params={"lastEventId": start, "limit": 2})
        by_link = reporter.get(first.links["next"]["url"])
        by_id = reporter.get("/v1/events", params={"lastEventId": first.json()[-1]["id"]})
        # then
        assert first.headers["content-type"] == "application/cloudevents-batch+json"
        assert (kinds(first), kinds(by_link)) == (STATES[:2], STATES[2:])
        assert kinds(by_id) == [*STATES[2:], "offered"]
        end = reporter.get("/v1/events", params={"lastEventId": cursor(by_id)})
        assert (end.json(), cursor(end)) == ([], cursor(by_id))
        asked = {"lastEventId": start, "type": ["offered", "io.offerlog.engaged.v1"]}
        assert kinds(reporter.get("/v1/events", params=asked)) == ["offered", "engaged", "offered"]
        site.service.wait(int(cursor(by_id)))
        asked = {"lastEventId": start, "action_map": an_id("other map")}
        assert kinds(reporter.get("/v1/events", params=asked)) == ["offered"]
        assert kinds(reporter.get("/v1/events", params=asked | {"action_map": "Another map"})) == ["offered"]
        # and only a key of the role events may see who it was
        assert "customer_id" not in first.text
        refused = reporter.get("/v1/events", params={"identified": "true"})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        known = officer.get("/v1/events", params={"lastEventId": start, "identified": "true"}).json()
        assert {one["data"]["customer_id"] for one in known} == {"visitor-1", "visitor-2"}
        for wrong, field in (
            ({"lastEventId": "x"}, "lastEventId"),
            ({"lastEventId": str(2**53 - 1)}, "lastEventId"),
            ({"type": "clicked"}, "type"),
            ({"action_map": "x"}, "action_map"),
            ({"timeout": "60001"}, "timeout"),
        ):
            answer = reporter.get("/v1/events", params=wrong)
            stream = reporter.get("/v1/events", params=wrong, headers={"Accept": "text/event-stream"})
            assert stream.json() == answer.json()
            assert (answer.status_code, answer.json()["field"]) == (400, field), wrong


def test_a_webhook_takes_action_maps_by_name_and_keeps_their_ids(site: Site) -> None:
    """A later name of the map changes nothing."""
    # given
    record(site, 1, "offered", actionMapId=an_id("named map"), actionMapName="Named map")
    asked = {"url": "https://shop.example/", "action_maps": ["Named map", an_id("unknown map")]}
    with site.client(Role.ADMIN) as admin:
        site.service.wait(int(cursor(admin.get("/v1/events", params={"lastEventId": "latest"}))))
        # when
        made = admin.post("/v1/webhooks", json=asked).json()
        # then
        assert set(made["action_maps"]) == {an_id("named map"), an_id("unknown map")}
        assert admin.delete(f"/v1/webhooks/{made['id']}").status_code == 200


def test_a_batch_ends_before_its_client_would_hold_up_much_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one goes on behind it; a single event may be longer."""
    monkeypatch.setattr(events, "PAGE_BYTES", 1_200)
    with site.client() as client:
        start = cursor(client.get("/v1/events", params={"lastEventId": "latest"}))
        record(site, 5, *STATES)
        found = []
        # when
        while (batch := client.get("/v1/events", params={"lastEventId": start})).json():
            found.append(kinds(batch))
            start = cursor(batch)
        # then
        assert [one for some in found for one in some] == STATES
        assert [len(one) for one in found] == [2, 2]


def test_an_event_that_only_a_newer_offerlog_knows_holds_the_feed_up(site: Site, module_dsn: str) -> None:
    """It is answered as passing trouble, by a process that is not upgraded yet; nobody reads past it."""
    with site.client() as client:
        # given
        start = cursor(client.get("/v1/events", params={"lastEventId": "latest"}))
        record(site, 6, "offered", "accepted")
        rename = (
            "UPDATE offerlog_events SET topic = %s WHERE topic = %s AND notification_id > %s RETURNING topic"
        )
        rows(module_dsn, rename, "accepted.99", "accepted.3", int(start))
        # when
        known = client.get("/v1/events", params={"lastEventId": start})
        stopped = client.get("/v1/events", params={"lastEventId": cursor(known), "timeout": 2_000})
        accepts = {"Accept": "text/event-stream"}
        stream = client.get("/v1/events", params={"lastEventId": cursor(known)}, headers=accepts)
        rows(module_dsn, rename, "accepted.3", "accepted.99", int(start))
        # then
        assert kinds(known) == ["offered"]
        for answer in (stopped, stream):
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
            assert answer.headers["retry-after"] == "10"
        assert kinds(client.get("/v1/events", params={"lastEventId": cursor(known)})) == ["accepted"]


def test_a_long_poll_is_answered_by_the_next_event_and_its_cursor_passes_those_of_others(site: Site) -> None:
    """It waits without a thread; when its time is over, it is empty and says how far the log was read."""
    with site.client() as client, site.client(organization="another") as other:
        # given
        start = cursor(client.get("/v1/events", params={"lastEventId": "latest"}))
        timer = threading.Timer(0.4, record, (site, 3, "offered"))
        timer.start()
        # when
        began = time.monotonic()
        answered = client.get("/v1/events", params={"lastEventId": start, "timeout": 20_000})
        took = time.monotonic() - began
        timer.join(30)
        other.post("/v1/signals", json=signal("offered", visitor=4))
        in_vain = client.get("/v1/events", params={"lastEventId": cursor(answered), "timeout": 900})
        # then
        assert kinds(answered) == ["offered"]
        assert 0.3 < took < 10
        assert in_vain.json() == []
        assert int(cursor(in_vain)) > int(cursor(answered))


@contextmanager
def streamed(client: httpx.Client, **asked: Any) -> Iterator[Iterator[tuple[str, Any]]]:
    """The events of a stream: id and CloudEvent."""
    headers = {"Accept": "text/event-stream", **asked.pop("headers", {})}
    with client.stream("GET", "/v1/events", params=asked, headers=headers) as answer:
        assert answer.status_code == 200
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    last = ""
    for line in lines:
        if line.startswith("id: "):
            last = line[4:]
        elif line.startswith("data: "):
            yield last, json.loads(line[6:])


def test_a_stream_is_resumed_without_gap_or_repeat_and_an_erasure_passes_its_filter(site: Site) -> None:
    """A client that lost its connection says the last id that it had."""
    with site.client() as client:
        # given
        start = cursor(client.get("/v1/events", params={"lastEventId": "latest"}))
        with streamed(client, lastEventId=start) as first:
            record(site, 5, "offered", "accepted")
            seen = [next(first) for _ in range(2)]
        # when
        record(site, 5, "started")
        with streamed(client, headers={"Last-Event-ID": seen[-1][0]}) as second:
            record(site, 5, "engaged")
            seen += [next(second) for _ in range(2)]
        with streamed(client, lastEventId=seen[-1][0], type="timedout") as filtered:
            record(site, 6, "offered")
            site.service.erase(customer_id="visitor-5")
            erased = next(filtered)[1]
        # then
        assert [event["type"] for _, event in seen] == [f"io.offerlog.{one}.v1" for one in STATES]
        assert [last for last, _ in seen] == [event["id"] for _, event in seen]
        assert erased["type"] == "io.offerlog.visitor-erased.v1"
        assert erased["data"]["visitor"] == seen[0][1]["data"]["visitor"]


def test_a_client_that_does_not_read_holds_up_nobody_and_misses_nothing(site: Site) -> None:
    """Its connection is full after some hundred events; the others get theirs, and it gets the rest later."""
    with site.client() as slow, site.client() as quick:
        # given
        start = cursor(quick.get("/v1/events", params={"lastEventId": "latest"}))
        lines = [json.dumps(signal("offered", visitor=1_000 + number)) for number in range(2_000)]
        with streamed(slow, lastEventId=start) as stream:
            site.service.record(lines)
            # when
            began = time.monotonic()
            batch = quick.get("/v1/events", params={"lastEventId": start, "timeout": 20_000, "limit": 1_000})
            took = time.monotonic() - began
            seen = [next(stream)[0] for _ in lines]
    # then
    assert took < 10
    assert [one["id"] for one in batch.json()] == seen[:1_000]
    assert len({*seen}) == len(lines)


def test_trouble_of_the_store_is_said_and_passes(
    site: Site, served_module: SharedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream stays open and goes on; a poll is answered with the reason."""

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError

    headers = {"Accept": "text/event-stream"}
    with site.client() as client:
        start = cursor(client.get("/v1/events", params={"lastEventId": "latest"}))
        with client.stream("GET", "/v1/events", params={"lastEventId": start}, headers=headers) as stream:
            lines = stream.iter_lines()
            with monkeypatch.context() as patched:
                patched.setattr(served_module.site.service.feed, "page", fail)
                record(site, 8, "offered")
                comment = next(line for line in lines if line.startswith(":"))
                refused = client.get("/v1/events", params={"lastEventId": start})
            event = next(_events(lines))[1]
    assert comment.startswith(": the store cannot be reached")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
    assert event["data"]["state"] == "offered"


def test_waiting_clients_are_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By key and by organization; one that ends makes room."""
    monkeypatch.setattr(feed_waits, "WAITS_OF_A_KEY", 2)
    monkeypatch.setattr(feed_waits, "WAITS_OF_AN_ORGANIZATION", 3)
    headers = {"Accept": "text/event-stream"}
    with ExitStack() as held:
        first, second = (held.enter_context(site.client()) for _ in range(2))

        def opened(client: httpx.Client) -> int:
            stream = client.stream("GET", "/v1/events", headers=headers)
            return held.enter_context(stream).status_code

        last = first.send(first.build_request("GET", "/v1/events", headers=headers), stream=True)
        assert [opened(first) for _ in range(2)] == [200, 429]
        assert [opened(second) for _ in range(2)] == [200, 429]
        end = cursor(first.get("/v1/events"))
        poll = first.get("/v1/events", params={"lastEventId": end, "timeout": 1})
        assert (poll.status_code, poll.headers["retry-after"]) == (429, "10")
        last.close()
        until(lambda: opened(first) == 200)
    with site.client() as client:
        assert [client.head("/v1/events", headers=headers).status_code for _ in range(3)] == [200] * 3


def test_a_subscription_is_a_cursor_that_is_acknowledged(site: Site) -> None:
    """Its lag is in the list and among the metrics."""
    record(site, 7, *STATES)
    with site.client(Role.EVENTS) as client:
        # given
        made = client.put("/v1/subscriptions/warehouse/cursor").json()
        batch = client.get("/v1/events", params={"subscription": "warehouse", "limit": 3})
        # when
        moved = client.put("/v1/subscriptions/warehouse/cursor", params={"lastEventId": cursor(batch)}).json()
        rest = client.get("/v1/events", params={"subscription": "warehouse"})
        # then
        assert (made["cursor"], made["moved_at"]) == ("0", None)
        assert (moved["cursor"], moved["lag_events"]) == (cursor(batch), 1)
        assert (kinds(batch), kinds(rest)) == (STATES[:3], STATES[3:])
        (listed,) = client.get("/v1/subscriptions").json()["subscriptions"]
        assert listed | {"lag_seconds": 0} == moved | {"lag_seconds": 0}
        labels = f'{{organization="{site.organization}",subscription="warehouse"}}'
        metrics = httpx.get(f"{site.url}/metrics").text
        assert f"offerlog_subscription_lag_events{labels} 1.0" in metrics
        assert f"offerlog_subscription_lag_seconds{labels}" in metrics
        assert client.put("/v1/subscriptions/a b/cursor").json()["field"] == "name"
        assert client.delete("/v1/subscriptions/warehouse").json() == {"deleted": "warehouse"}
        assert client.delete("/v1/subscriptions/warehouse").status_code == 404
        assert client.delete("/v1/subscriptions/a%00b").status_code == 404
        assert client.get("/v1/events", params={"subscription": "a\0b"}).status_code == 404
        for start in ({}, {"lastEventId": "0"}, {"lastEventId": "latest"}):
            missing = client.get("/v1/events", params={"subscription": "warehouse", **start})
            assert missing.status_code == 404
            assert "there is no subscription 'warehouse'" in missing.json()["detail"]


def test_the_end_of_the_service_ends_all_waits_at_once(dsn: str) -> None:
    """A poll is answered, and a stream closed, long before their time is over."""
    answers: list[httpx.Response] = []
    with ExitStack() as held:
        with served(dsn) as site:
            client = held.enter_context(site.client())
            begun = held.enter_context(
                client.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"})
            )

            def poll() -> None:
                answers.append(client.get("/v1/events", params={"timeout": 30_000}))

            waiting = threading.Thread(target=poll)
            waiting.start()
            time.sleep(0.5)
            began = time.monotonic()
        took = time.monotonic() - began
        waiting.join(10)
        assert next(begun.iter_lines()) == "retry: 2000"
    assert took < 8
    assert [(one.status_code, one.json()) for one in answers] == [(200, [])]
