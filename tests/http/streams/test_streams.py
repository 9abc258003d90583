"""Streams of changes: shared, bounded, and over when their key is; uploads too."""

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_infrastructure.http.streams import live_reports
from support.http_site import Site
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

SESSION = "5e000000-0000-4000-8000-000000000001"


def signal(customer: str = "v", action_map: str = SESSION, state: str = "offered") -> dict[str, str]:
    """A signal of that visitor's one action."""
    action = str(uuid.uuid5(uuid.NAMESPACE_OID, customer + action_map))
    return {
        "actionId": action,
        "actionState": state,
        "actionMapId": action_map,
        "customerId": customer,
        "sessionId": SESSION,
    }


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """What a stream tells, event by event."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def ended(lines: Iterator[str], before: Callable[[], object]) -> float:
    """Do something, and return the seconds after which the stream ended."""
    before()
    began = time.monotonic()
    for _ in lines:
        pass
    return time.monotonic() - began


@pytest.fixture
def reports(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[ReportQuery]:
    """The reports that are read."""
    read: list[ReportQuery] = []
    report = site.service.report

    def counted(query: ReportQuery) -> Any:
        read.append(query)
        return report(query)

    monkeypatch.setattr(site.service, "report", counted)
    return read


def test_all_streams_of_an_organization_share_one_report(site: Site, reports: list[ReportQuery]) -> None:
    """It is read for its own events alone, and then only for the maps that have changed."""
    with (
        site.client(organization="alpha") as alpha,
        site.client(organization="beta") as beta,
        ExitStack() as held,
    ):
        # given two maps of alpha, and eight streams that show them
        maps = [str(uuid.uuid4()) for _ in range(2)]
        records = [signal("a", one) for one in maps]
        site.service.wait(alpha.post("/v1/signals", json=records).json()["position"])
        streams = [
            events(held.enter_context(alpha.stream("GET", "/v1/stream")).iter_lines()) for _ in range(8)
        ]
        assert [len(next(one)["rows"]) for one in streams] == [2] * 8
        assert len(reports) == 1
        # when beta records signals, one after the other
        for n in range(5):
            site.service.wait(beta.post("/v1/signals", json=signal(f"b{n}")).json()["position"])
            time.sleep(0.6)
        # then no report of alpha is read for that
        assert len(reports) == 1
        # and when alpha does, every stream shows it, from one report of the one map that has changed
        alpha.post("/v1/signals", json=signal("a", maps[1], "accepted"))
        changes = [next(one)["rows"] for one in streams]
        assert [[row["action_map_id"] for row in one] for one in changes] == [[maps[1]]] * 8
        assert [query.action_maps for query in reports[1:]] == [(maps[1],)]


def test_streams_are_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By key, by organization and in all; one that ends makes room."""
    monkeypatch.setattr(live_reports, "STREAMS_OF_A_KEY", 3)
    monkeypatch.setattr(live_reports, "STREAMS_OF_AN_ORGANIZATION", 4)
    monkeypatch.setattr(live_reports, "STREAMS_IN_ALL", 5)
    with ExitStack() as held:

        def opened(client: httpx.Client) -> int:
            answer = held.enter_context(client.stream("GET", "/v1/stream"))
            return answer.status_code

        first, second = (held.enter_context(site.client(organization="alpha")) for _ in range(2))
        other = held.enter_context(site.client(organization="beta"))
        last = first.send(first.build_request("GET", "/v1/stream"), stream=True)
        assert [opened(first) for _ in range(3)] == [200, 200, 429]
        assert [opened(second) for _ in range(2)] == [200, 429]
        assert [opened(other) for _ in range(2)] == [200, 429]
        last.close()
        until(lambda: opened(first) == 200)
    with site.client() as client:
        until(lambda: client.head("/v1/stream").status_code == 200)


def revoke_elsewhere(dsn: str) -> None:
    """Revoke all keys as another process would, so that this one has to find out."""
    rows(dsn, "UPDATE api_keys SET revoked_at = now()")


def test_a_revoked_key_ends_its_streams(site: Site, dsn: str) -> None:
    """Within five seconds, also where another process revokes it."""
    with site.client() as admin, admin.stream("GET", "/v1/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        assert ended(lines, lambda: revoke_elsewhere(dsn)) < 6


def test_a_log_out_ends_its_streams(site: Site) -> None:
    """Those of its session, as soon as they look."""
    with httpx.Client(base_url=site.url, timeout=30) as browser:
        browser.post("/login", data={"key": site.key(Role.REPORTER)})
        page = browser.get("/").text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        with browser.stream("GET", "/v1/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"

            def log_out() -> None:
                assert browser.post("/logout", data={"csrf": csrf}).status_code == 303

            assert ended(lines, log_out) < 6


@pytest.mark.parametrize("flowing", [True, False])
def test_a_revoked_key_ends_its_uploads(site: Site, dsn: str, *, flowing: bool) -> None:
    """Whether lines come all the time, or none at all; what was sent later is not recorded."""
    host, port = site.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/signals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key()}\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    def chunk(n: int) -> bytes:
        lines = b"".join(json.dumps(signal(f"v{n}-{m}")).encode() + b"\n" for m in range(100))
        return b"%x\r\n%b\r\n" % (len(lines), lines)

    # given an upload of which some has been recorded
    with socket.create_connection((host, int(port)), timeout=0.05) as upload:
        upload.sendall(head.encode() + b"".join(map(chunk, range(20))))
        until(lambda: rows(dsn, "SELECT count(*) >= 1000 FROM offerlog_events") == [(True,)])
        # when its key is revoked by another process
        revoke_elsewhere(dsn)
        began, answer, n = time.monotonic(), b"", 20
        while time.monotonic() - began < 20:
            try:
                if flowing:
                    n += 1
                    upload.sendall(chunk(n))
                more = upload.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not more:
                break
            answer += more
    # then it is answered with 401, and the connection is closed
    assert time.monotonic() - began < 6
    assert answer.startswith(b"HTTP/1.1 401 ") or flowing  # a reset may overtake the answer
    ((stored,),) = rows(dsn, "SELECT count(*) FROM offerlog_events")
    assert stored < n * 100 or not flowing


def test_trouble_of_the_store_is_told_and_passes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays open, says so, and goes on."""
    with site.client() as admin, admin.stream("GET", "/v1/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        read = site.service.counts.read

        def gone() -> None:
            raise StoreUnavailableError

        monkeypatch.setattr(site.service.counts, "read", gone)
        sent = events(lines)
        assert "cannot be reached" in next(one["reason"] for one in sent if one.get("reason"))
        monkeypatch.setattr(site.service.counts, "read", read)
        assert next(one for one in sent if "reason" in one) == {"reason": None}
        admin.post("/v1/signals", json=signal())
        assert next(one for one in sent if one.get("rows"))["rows"][0]["metrics"]["nWebActionsOffered"] == 1


def test_a_stream_ends_by_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its place is free again."""
    monkeypatch.setattr("offerlog_infrastructure.http.streams.event_stream.STREAM_SECONDS", 0.5)
    with site.client() as admin, admin.stream("GET", "/v1/stream") as stream:
        records = list(stream.iter_lines())
    assert any("come again" in line for line in records)
