"""Every route with a key that may use it, and what each says when it cannot answer."""

import base64
import gzip
import json
import uuid
from typing import Any

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_application.recording.submissions import OverloadedError
from offerlog_application.recording.writer import WriterHealth
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.requests import bodies
from support.http_site import Site
from support.journeys import journeys

pytest_plugins = ("support.http_site",)

MAP = examples.MAP
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def signal_of(state: str, customer: str = "visitor-1", action: str = "1") -> dict[str, Any]:
    """A signal; the same names make the same ids."""
    ids = {"actionId": str(uuid.uuid5(uuid.NAMESPACE_OID, customer + action)), "actionMapId": MAP}
    return {**ids, "customerId": customer, "sessionId": str(uuid.UUID(int=1)), "actionState": state}


def outcomes(answer: httpx.Response) -> list[str]:
    """What became of each signal."""
    assert answer.status_code == 200, answer.text
    return [one["outcome"] for one in answer.json()["outcomes"]]


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, slug and field of an error; it is in RFC 9457's form."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"]
    return answer.status_code, body["type"].removeprefix("/problems/"), body.get("field")


def test_signals_one_many_and_streamed(admin: httpx.Client) -> None:
    """One, an array, NDJSON, packed or not: the outcomes in order, of the bad ones too."""
    life = [signal_of(state) for state in ("offered", "accepted", "started", "engaged")]
    assert outcomes(admin.post("/v1/signals", json=life[0])) == ["recorded"]
    assert outcomes(admin.post("/v1/signals", json=life[:2])) == ["duplicate", "recorded"]
    lines = b"\n".join([*(json.dumps(one).encode() for one in life), b"", b"no signal", b""])
    assert outcomes(admin.post("/v1/signals", content=lines, headers=NDJSON)) == [
        *("duplicate", "duplicate", "recorded", "recorded"),
        "refused",
    ]
    packed = gzip.compress(lines) + gzip.compress(b"[]\n")
    answer = admin.post("/v1/signals", content=packed, headers=NDJSON | {"Content-Encoding": "gzip"})
    assert outcomes(answer) == ["duplicate"] * 4 + ["refused"] * 2
    assert answer.json()["outcomes"][4]["cause"].startswith("not JSON")
    streamed = admin.post("/v1/signals", content=lines, headers=NDJSON | {"Accept": "application/x-ndjson"})
    assert [json.loads(line)["outcome"] for line in streamed.text.splitlines()] == ["duplicate"] * 4 + [
        "refused"
    ]
    assert outcomes(admin.post("/v1/signals", content=b'{"a": 1}')) == ["refused"]


def test_a_long_stream_is_judged_piece_by_piece(site: Site, admin: httpx.Client) -> None:
    """More than any array may hold, and an over-long line that harms no other."""
    lines = journeys(2100)
    lines.insert(3000, b'"' + b"x" * 300_000 + b'"')
    answer = admin.post("/v1/signals", content=b"\n".join(lines), headers=NDJSON)
    judged = answer.json()["outcomes"]
    assert len(judged) == len(lines)
    assert judged[3000]["cause"] == "longer than 64 KiB"
    site.service.wait(answer.json()["position"])
    assert (
        outcomes(admin.post("/v1/signals", content=b"\n".join(lines[:100]), headers=NDJSON)).count("recorded")
        == 0
    )


def test_a_beacon_brings_its_key_in_the_body(site: Site) -> None:
    """As `sendBeacon` can: text/plain, the key in the first line, nothing in a header or a URL."""
    body = "\n".join([json.dumps({"key": site.key(Role.WIDGET)}), json.dumps(signal_of("offered"))])
    plain = {"Content-Type": "text/plain;charset=UTF-8"}
    assert outcomes(httpx.post(f"{site.url}/v1/signals", content=body, headers=plain)) == ["received"]
    nothing = httpx.post(f"{site.url}/v1/signals", content=json.dumps(signal_of("offered")), headers=plain)
    assert problem(nothing)[:2] == (400, "malformed-request")
    wrong = httpx.post(f"{site.url}/v1/signals", content='{"key": "ofl_widget_x_y"}\n{}', headers=plain)
    assert problem(wrong)[:2] == (401, "unauthorized")


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"", {}, (400, "malformed-request", None)),
        (b"[1, 2", {}, (400, "malformed-request", None)),
        (b"{}", {"Content-Type": "text/xml"}, (415, "unsupported-media-type", "Content-Type")),
        (b"{}", {"Content-Encoding": "br"}, (415, "unsupported-media-type", None)),
        (b"no gzip", {"Content-Encoding": "gzip"}, (400, "malformed-request", "Content-Encoding")),
        (
            gzip.compress(b"[]", mtime=0)[:-9],
            {"Content-Encoding": "gzip"},
            (400, "malformed-request", "Content-Encoding"),
        ),
        (b" " * (bodies.MAX_BYTES + 1), {}, (413, "payload-too-large", None)),
        (
            gzip.compress(b" " * (bodies.MAX_BYTES + 1), mtime=0),
            {"Content-Encoding": "gzip"},
            (413, "payload-too-large", None),
        ),
        (b"[" + b"0," * 10_000 + b"0]", {}, (413, "payload-too-large", None)),
    ],
)
def test_a_body_that_cannot_be_taken(
    admin: httpx.Client, content: bytes, headers: dict[str, str], expected: tuple[int, str, str | None]
) -> None:
    """The body itself is at fault: one clear error, and nothing is recorded."""
    assert problem(admin.post("/v1/signals", content=content, headers=headers)) == expected
    assert admin.get("/v1/refusals").json()["items"] == []


def test_an_offer_is_made_once_and_its_retry_is_safe(admin: httpx.Client) -> None:
    """201 offered, 200 blocked; the caller's own action id gets the same decision again."""
    asked = {
        "customerId": "v",
        "actionMapId": MAP,
        "sessionId": str(uuid.uuid4()),
        "actionId": str(uuid.uuid4()),
    }
    first, again = admin.post("/v1/offers", json=asked), admin.post("/v1/offers", json=asked)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = admin.post("/v1/offers", json=asked | {"actionId": str(uuid.uuid4())})
    assert (other.status_code, other.json()["reason"]) == (200, "already_open")
    assert other.json()["blocking_action_id"] == asked["actionId"]
    assert problem(admin.post("/v1/offers", json=asked | {"actionMapId": "x"})) == (
        *(400, "malformed-request"),
        "actionMapId",
    )
    assert problem(admin.post("/v1/offers", json={"customerId": "v"}))[2] == "actionMapId"
    misspelt = admin.post("/v1/offers", json=asked | {"actionID": "x"})
    assert problem(misspelt) == (400, "malformed-request", "actionID")
    assert "no such field" in misspelt.json()["detail"]


def test_look_ups_and_explanations(site: Site, admin: httpx.Client) -> None:
    """What the page asks, one by one and in a batch, and why."""
    states = ("offered", "accepted", "started", "engaged")
    answer = admin.post("/v1/signals", json=[signal_of(state, "visitor é/1") for state in states])
    site.service.wait(answer.json()["position"])
    who = "/v1/visitors/visitor%20%C3%A9%2F1"
    found = admin.get(f"{who}/suppressions").json()
    assert [one["state"] for one in found["suppressions"]] == ["engaged"]
    assert found["position"] >= answer.json()["position"]
    assert found["age_seconds"] == 0
    batch = [{"customerId": "visitor é/1"}, {"customerId": "stranger"}]
    together = admin.post("/v1/suppressions:batch", json={"visitors": batch}).json()["visitors"]
    assert [one["suppressions"] for one in together] == [found["suppressions"], []]
    assert admin.get(f"{who}/action-maps/{MAP}/eligibility").json()["reason"] == "terminal_state"
    history = f"{who}/action-maps/{MAP}/history"
    assert [one["event"] for one in admin.get(history).json()["events"]] == list(states)
    assert admin.get(history, params={"version": 2}).json()["state"] == "accepted"
    assert admin.get(history, params={"as_of": "2020-01-01T00:00:00Z"}).json()["version"] == 0
    assert problem(admin.get(history, params={"as_of": "noon"}))[2] == "as_of"
    assert problem(admin.get(history, params={"version": -1}))[2] == "version"
    assert problem(admin.post("/v1/suppressions:batch", json={"visitors": [{}] * 1001}))[0] == 400


def test_pages_by_cursor_are_the_whole_list(site: Site, admin: httpx.Client) -> None:
    """Each row once, and the same as in one go."""
    signals = [signal_of(state, f"visitor {n:02}") for n in range(25) for state in ("offered", "rejected")]
    site.service.wait(admin.post("/v1/signals", json=[*signals, *range(25)]).json()["position"])
    for path in (f"/v1/action-maps/{MAP}/suppressions", "/v1/refusals"):
        streamed = admin.get(path, headers={"Accept": "application/x-ndjson"}).text.splitlines()
        paged: list[Any] = []
        cursor = None
        while True:
            page = admin.get(path, params={"limit": 10} | ({"cursor": cursor} if cursor else {})).json()
            paged += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(paged) == 25
        assert [one | json.loads(line) for one, line in zip(paged, streamed, strict=True)] == paged
        assert problem(admin.get(path, params={"cursor": "nonsense"}))[2] == "cursor"
    # a cursor behind a visitor of whom nothing was recorded says so
    stranger = base64.urlsafe_b64encode(b'["cookie","nobody"]').decode()
    for accept in ("application/json", "application/x-ndjson"):
        answer = admin.get(
            f"/v1/action-maps/{MAP}/suppressions", params={"cursor": stranger}, headers={"Accept": accept}
        )
        assert problem(answer)[::2] == (404, "cursor"), accept


def test_a_report_as_json_and_csv_with_an_etag(own_site: Site, own_admin: httpx.Client) -> None:
    """The tag changes when the log has moved, and not before."""
    own_site.service.wait(
        own_admin.post("/v1/signals", json=[signal_of("offered"), signal_of("accepted")]).json()["position"]
    )
    path = "/v1/reports/action-map-performance"
    first = own_admin.get(path, params={"by": "day", "zone": "Asia/Kathmandu", "proof": "true"})
    (row,) = first.json()["rows"]
    assert (row["metrics"]["nWebActionsOffered"], row["bucket"][-6:]) == (1, "+05:45")
    assert first.json()["proof"]["events"] == 2
    tag = {"If-None-Match": first.headers["etag"]}
    assert own_admin.get(path, headers=tag).status_code == 304
    table = own_admin.get(path, params={"format": "csv"}).text.splitlines()
    assert table[0].startswith("action_map_id,action_map_name,bucket,nWebActionsOffered")
    assert len(table) == 2
    own_site.service.wait(own_admin.post("/v1/signals", json=signal_of("started")).json()["position"])
    assert own_admin.get(path, headers=tag).status_code == 200
    for wrong, field in (({"zone": "Mars"}, "zone"), ({"from": "soon"}, "from"), ({"by": "year"}, "by")):
        assert problem(own_admin.get(path, params=wrong))[2] == field
    assert own_admin.get("/v1/action-maps").json() == {
        "action_maps": [{"action_map_id": MAP, "action_map_name": None}],
        "next_cursor": None,
    }


def test_changes_are_streamed_and_resumed(site: Site, admin: httpx.Client) -> None:
    """Every row at first, then what changes; whoever comes back has not missed anything."""

    def event(lines: Any) -> tuple[int, list[Any]]:
        data = next(line for line in lines if line.startswith("data: "))
        decoded = json.loads(data.removeprefix("data: "))
        return decoded["position"], decoded["rows"]

    site.service.wait(admin.post("/v1/signals", json=signal_of("offered")).json()["position"])
    with admin.stream("GET", "/v1/stream") as stream:
        lines = stream.iter_lines()
        first, rows = event(lines)
        assert rows[0]["metrics"]["nWebActionsOffered"] == 1
        admin.post("/v1/signals", json=signal_of("accepted"))
        second, rows = event(lines)
        assert second > first
        assert rows[0]["metrics"]["nWebActionsAccepted"] == 1
    site.service.wait(admin.post("/v1/signals", json=signal_of("started")).json()["position"])
    with admin.stream("GET", "/v1/stream", headers={"Last-Event-ID": str(second)}) as stream:
        assert event(stream.iter_lines())[1][0]["metrics"]["nWebActionsStarted"] == 1


def test_operations(own_site: Site, own_admin: httpx.Client) -> None:
    """Liveness and readiness need no key; metrics count outcomes by reason."""
    own_admin.post("/v1/signals", json=[signal_of("offered"), 7])
    assert httpx.get(f"{own_site.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{own_site.url}/readyz").json()["status"] == "ok"
    text = httpx.get(f"{own_site.url}/metrics").text
    assert 'offerlog_outcomes_total{outcome="recorded",reason=""} 1.0' in text
    assert 'offerlog_outcomes_total{outcome="refused",reason="malformed"} 1.0' in text
    for name in (
        "lag_seconds",
        "dead_letter_events",
        "queue_depth",
        "commit_seconds_count",
        "seal_lag_events",
    ):
        assert name in text
    assert "offerlog_writer_alive 1.0" in text
    for name in (
        'http_request_duration_seconds_count{method="POST",route="/v1/signals",status="2xx"} 1.0',
        'http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/readyz",status="2xx"} 1.0',
        'projection_healthy{projection="suppression"} 1.0',
        'refusals_last_day{reason="malformed"} 1.0',
        'pool_connections{pool="writing",state="idle"}',
        "overdue_deadlines 0.0",
        "last_backup_timestamp_seconds NaN",
    ):
        assert f"offerlog_{name}" in text
    assert "process_cpu_seconds_total" in text
    names = [one["projection"] for one in own_admin.get("/v1/projections").json()["projections"]]
    assert names == ["current_state", "performance", "suppression"]


def test_a_writer_that_stands_still_or_has_ended_is_not_ready(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with the reason, although the store and the projections are well."""
    for health, reason in (
        (WriterHealth(alive=False, stalled_seconds=0.0, waiting=0, incidents=0), "the writer has ended"),
        (WriterHealth(alive=True, stalled_seconds=31.0, waiting=9, incidents=0), "stood still for 31 s"),
    ):
        monkeypatch.setattr(own_site.service, "writer_health", lambda health=health: health)
        answer = httpx.get(f"{own_site.url}/readyz")
        assert problem(answer)[:2] == (503, "unavailable")
        assert reason in answer.json()["detail"]


def test_overload_says_when_to_come_back(
    own_site: Site, own_admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After; what was accepted before is recorded."""

    def full(*_: object, **__: object) -> None:
        raise OverloadedError(3.0)

    monkeypatch.setattr(own_site.service, "hand_in", full)
    answer = own_admin.post("/v1/signals", json=signal_of("offered"))
    assert problem(answer)[:2] == (503, "overloaded")
    assert answer.headers["retry-after"] == "3"


def test_what_is_not_there_is_a_problem_too(admin: httpx.Client) -> None:
    """Unknown paths, wrong methods."""
    assert problem(admin.get("/v1/nothing"))[:2] == (404, "not-found")
    assert problem(admin.delete("/v1/signals"))[:2] == (405, "method-not-allowed")
