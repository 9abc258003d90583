"""What no honest client sends: each gets one clear error, and nobody else notices."""

import base64
import gzip
import json
import socket
import time

import httpx
import pytest

from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.server.connections import MAX_HEADER_BYTES
from support.http_site import Site, served

pytest_plugins = ("support.http_site",)

REPORT = "/v1/reports/action-map-performance"
HISTORY = f"/v1/visitors/v/action-maps/{examples.MAP}/history"
BEACON = {"Content-Type": "text/plain"}


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def problem(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and field of an error in RFC 9457's form."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json().get("field")


def cursor(*parts: object) -> str:
    """A forged one."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def exchanged(site: Site, text: bytes, seconds: float = 5.0) -> bytes:
    """What comes back for these bytes, as far as it comes in time."""
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        got = b""
        try:
            connection.sendall(text)
            while more := connection.recv(65_536):
                got += more
        except (TimeoutError, ConnectionError):
            pass
        return got


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/v1/visitors/%FF/suppressions", None),
        (f"/v1/visitors/%ED%A0%80/action-maps/{examples.MAP}/eligibility", None),
        ("/v1/visitors/v/suppressions?customer_id_type=%FF", None),
        ("/v1/visitors/v/suppressions?customerIdType=crm", "customerIdType"),
        (f"{REPORT}?zone=Mars&zone=UTC", "zone"),
        (f"{REPORT}?key=ofl_admin_x_y", "key"),
        (f"{HISTORY}?version=99999999999999999999", "version"),
        *(
            (f"/v1/refusals?cursor={forged}", "cursor")
            for forged in (
                cursor("2026-01-01T00:00:00Z", True),
                cursor("2026-01-01T00:00:00Z", -1),
                cursor("2026-01-01T00:00:00Z", 2**63),
                cursor("0001-01-01T00:00:00+23:59", 1),
                cursor("cookie", "v"),
                base64.urlsafe_b64encode(b"[" * 30_000).decode(),
                "%C3%A9",
            )
        ),
        (f"/v1/action-maps/{examples.MAP}/suppressions?cursor={cursor('cookie', 1)}", "cursor"),
        (f"/v1/action-maps/{examples.MAP}/suppressions?cursor={'W1' * 20_000}", "cursor"),
    ],
)
def test_a_url_that_says_nothing_sensible(admin: httpx.Client, url: str, field: str | None) -> None:
    """Bytes that are no text, parameters that nobody reads or that come twice, forged cursors."""
    assert problem(admin.get(url)) == (400, field)


def test_a_cursor_of_another_organization_opens_nothing(site: Site, admin: httpx.Client) -> None:
    """It says where to go on, not whose list."""
    signals = [examples.SIGNAL | {"actionId": None}] * 3
    site.service.wait(admin.post("/v1/signals", json=signals).json()["position"])
    page = admin.get("/v1/refusals", params={"limit": 1}).json()
    with site.client(organization="other") as other:
        assert other.get("/v1/refusals", params={"cursor": page["next_cursor"]}).json()["items"] == []


def test_one_bad_element_does_not_spoil_an_array(admin: httpx.Client) -> None:
    """Half a surrogate pair, as pages cut text, is JSON all the same; what is no JSON is the body's fault."""
    good = json.dumps(examples.SIGNAL)
    spoilt = json.dumps(examples.SIGNAL | {"errorMessage": "\ud83d"})
    answer = admin.post("/v1/signals", content=f" [ {good} ,\n{spoilt}, NaN,{good}] ")
    outcomes = [(one["outcome"], one.get("field")) for one in answer.json()["outcomes"]]
    assert outcomes == [
        ("recorded", None),
        ("refused", "errorMessage"),
        ("refused", None),
        ("duplicate", None),
    ]
    for body in ("[" * 100_000, f"[{spoilt}", f"[{spoilt}]]", f"[{spoilt},]", f"[{spoilt} 1]"):
        assert problem(admin.post("/v1/signals", content=body)) == (400, None), body[:50]


@pytest.mark.parametrize("path", ["/v1/offers", "/v1/suppressions:batch"])
def test_bodies_of_questions_are_bounded_as_all_are(site: Site, admin: httpx.Client, path: str) -> None:
    """However they come; and nobody without a key has one read."""
    bomb = gzip.compress(b" " * (9 << 20))
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert problem(admin.post(path, content=bomb, headers=packed))[0] == 413
    assert problem(admin.post(path, content=iter([b" " * (1 << 20)] * 9)))[0] == 413
    assert problem(admin.post(path, content=b"{}", headers={"Content-Type": "text/xml"})) == (
        415,
        "Content-Type",
    )
    assert problem(admin.post(path, content=b"[" * 100_000))[0] == 400
    assert problem(admin.post(path, content=b'{"customerId": "\\ud800"}'))[0] == 400
    assert problem(httpx.post(site.url + path, content=b"{"))[0] == 401


def test_a_key_that_can_be_none_is_none(site: Site) -> None:
    """Also where PostgreSQL would not take its text."""
    for key in ("ofl_admin_\0_x", "ofl_admin_é_x", "ofl_admin__x"):
        beacon = json.dumps({"key": key}) + "\n{}"
        assert problem(httpx.post(f"{site.url}/v1/signals", content=beacon, headers=BEACON))[0] == 401
        assert httpx.post(f"{site.url}/login", data={"key": key}).status_code == 401


def test_forms_are_taken_from_our_own_pages_alone(site: Site) -> None:
    """By the Origin, and by what the browser says of it."""
    form = {"key": site.key()}
    for headers in (
        {"Origin": "http://[x"},
        {"Origin": "null"},
        {"Origin": f"{site.url}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert problem(httpx.post(f"{site.url}/login", data=form, headers=headers))[0] == 403
    ours = {"Origin": site.url, "Sec-Fetch-Site": "same-origin"}
    assert httpx.post(f"{site.url}/login", data=form, headers=ours).status_code == 303


def test_an_etag_is_of_one_organization_and_one_form(site: Site, admin: httpx.Client) -> None:
    """A browser that has shown one organization's report does not show it as another's."""
    tag = admin.get(REPORT).headers["etag"]
    strong = tag.removeprefix("W/")
    for given in (tag, strong, "*", f'"x", {tag}'):
        assert admin.get(REPORT, headers={"If-None-Match": given}).status_code == 304
    csv = {"If-None-Match": tag, "Accept": "text/csv"}
    assert admin.get(REPORT, headers=csv).status_code == 200
    with site.client(organization="other") as other:
        assert other.get(REPORT, headers={"If-None-Match": tag}).status_code == 200
    assert admin.get(REPORT).headers["vary"] == "Accept, Accept-Encoding, Authorization, Cookie"
    assert admin.get("/v1/projections").headers["cache-control"] == "no-store"


def test_a_name_is_no_formula(site: Site, admin: httpx.Client) -> None:
    """Whoever has a widget's key names maps; whoever opens the CSV has a spreadsheet."""
    document = examples.SIGNAL | {"actionMapName": '=HYPERLINK("https://evil.example")'}
    site.service.wait(admin.post("/v1/signals", json=document).json()["position"])
    assert "\"'=HYPERLINK(" in admin.get(REPORT, params={"format": "csv"}).text


def test_json_holds_no_character_that_steers_a_terminal(site: Site, admin: httpx.Client) -> None:
    """An answer is often looked at with curl: C1, DEL and what reorders text are escaped, the value stays."""
    name = "\x9b31m\x7f\u202e\u2028"
    document = examples.SIGNAL | {"actionMapName": name, "customerId": name, "sessionId": "no session"}
    posted = admin.post("/v1/signals", json=[document, examples.SIGNAL | {"actionMapName": name}])
    site.service.wait(posted.json()["position"])
    report, refused = admin.get(REPORT), admin.get("/v1/refusals")
    lines = admin.get("/v1/refusals", headers={"Accept": "application/x-ndjson"})
    assert report.json()["rows"][0]["action_map_name"] == name
    assert json.loads(refused.json()["items"][0]["signal"])["customerId"] == name
    wrong = admin.get(REPORT, params={"zone": name})
    assert wrong.status_code == 400
    for answer in (report, refused, lines, wrong):
        assert not set("\x9b\x7f\u202e\u2028") & set(answer.text)


@pytest.mark.parametrize("depth", [201, 990, 10_000])
def test_a_signal_nested_too_deeply_harms_no_other(admin: httpx.Client, depth: int) -> None:
    """Alone, in an array and as a line, whatever else it holds."""
    deep = json.dumps(examples.SIGNAL)[:-1] + f', "more": {"[" * depth}"]"{"]" * depth}}}'
    first, last = (
        json.dumps(examples.SIGNAL | {"eventId": None, "customerId": f"{depth} {n}"}) for n in range(2)
    )
    for kind, body, places in (
        ("json", deep, [0]),
        ("json", f"[{first}, {deep}, {last}]", [1]),
        ("x-ndjson", f"{first}\n{deep}\n{last}", [1]),
    ):
        answer = admin.post("/v1/signals", content=body, headers={"Content-Type": f"application/{kind}"})
        judged = answer.json()["outcomes"]
        assert [n for n, one in enumerate(judged) if one.get("cause") == "nested too deeply"] == places
        assert {one["reason"] for n, one in enumerate(judged) if n not in places} <= {None}


@pytest.mark.parametrize("given", [b"9" * 5000, b"\xb2", b"-1", b"nonsense", b"9" * 19])
def test_any_last_event_id_resumes(own_site: Site, own_admin: httpx.Client, given: bytes) -> None:
    """With all rows, where it is no position of ours."""
    own_site.service.wait(own_admin.post("/v1/signals", json=examples.SIGNAL).json()["position"])
    with own_admin.stream("GET", "/v1/stream", headers={b"Last-Event-ID": given}) as stream:
        assert next(line for line in stream.iter_lines() if line.startswith("id: ")).startswith("id: 1-1-0-")


def test_head_is_get_without_the_body(site: Site, admin: httpx.Client) -> None:
    """For monitors; a stream ends at once; what has no GET has no HEAD."""
    for path in ("/healthz", "/", "/v1/projections", REPORT, "/v1/stream"):
        got = admin.head(path)
        assert (got.status_code, got.content) == (200, b"")
    assert admin.head("/healthz").headers["content-length"] == "15"
    assert admin.head("/v1/offers").headers["allow"] == "OPTIONS, POST"
    assert admin.delete("/healthz").headers["allow"] == "GET, HEAD"
    assert admin.patch("/v1/keys").headers["allow"] == "GET, HEAD, POST"
    assert httpx.head(f"{site.url}/v1/projections").status_code == 401


def test_no_path_leads_elsewhere(site: Site, admin: httpx.Client) -> None:
    """No redirect to an address made of the Host header; nothing outside of what is served."""
    for path in (
        "/v1/signals/",
        "/v1/projections%2f",
        "/static/..%2froutes.py",
        "/static/%00",
        "/v1//projections",
    ):
        assert problem(admin.get(path, headers={"Host": "evil.example"}))[0] == 404, path
    assert problem(httpx.get(f"{site.url}/healthz/"))[0] == 404


@pytest.mark.parametrize(
    ("head", "status", "slug"),
    [
        (b"GET /healthz?a=" + b"a" * 63_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "url-too-long"),
        (b"GET http://x/healthz?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "url-too-long"),
        (b"GET /" + b"a" * (MAX_HEADER_BYTES + 8_000), 414, "url-too-long"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (MAX_HEADER_BYTES + 8_000), 431, "headers-too-large"),
        (b"no request at all\r\n\r\n", 400, "malformed-request"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_server_itself_rejects_is_a_problem_too(
    site: Site, head: bytes, status: int, slug: str
) -> None:
    """Below the application; the connection ends."""
    # when
    headers, _, body = exchanged(site, head).partition(b"\r\n\r\n")
    # then
    assert headers.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in headers
    assert b"connection: close" in headers.lower()
    assert json.loads(body)["type"] == f"/problems/{slug}"


def test_headers_are_bounded(site: Site) -> None:
    """Without a key one can send no more than this."""
    endless = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (8 * MAX_HEADER_BYTES)
    began = time.monotonic()
    assert exchanged(site, endless)[:12] in {b"HTTP/1.1 431", b""}  # a reset may overtake the answer
    assert time.monotonic() - began < 4  # it is the other side that has ended it
    big = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"
    assert exchanged(site, big)[:12] == b"HTTP/1.1 200"


def test_silence_ends(site: Site, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing sent, half a header, half a body: the connection is closed; a stream that is read is not."""
    monkeypatch.setattr("offerlog_infrastructure.http.server.connections._REQUEST_SECONDS", 0.5)
    monkeypatch.setattr("offerlog_infrastructure.http.server.connections._SILENCE_SECONDS", 0.5)
    site.service.wait(admin.post("/v1/signals", json=examples.SIGNAL).json()["position"])
    with admin.stream("GET", "/v1/stream") as stream:
        lines = stream.iter_lines()
        head = f"POST /v1/signals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key()}\r\n".encode()
        for text in (b"", b"GET /healthz HT", head, head + b"Content-Length: 9\r\n\r\n{"):
            began = time.monotonic()
            assert exchanged(site, text, 20.0) == b""
            assert time.monotonic() - began < 10
        document = examples.SIGNAL | {"actionState": "accepted", "createdDate": None}
        assert admin.post("/v1/signals", json=document).status_code == 200
        assert sum(1 for _, line in zip(range(8), lines, strict=False) if line.startswith("id: ")) == 2
    broken = head + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    assert exchanged(site, broken)[:12] == b"HTTP/1.1 400"
    assert httpx.get(f"{site.url}/healthz").status_code == 200


def test_half_a_body_does_not_hold_up_the_end(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop, the service waits a little for what has begun to come, not as long as it can."""
    monkeypatch.setattr("offerlog_infrastructure.http.server.connections._STOPPING_SECONDS", 0.5)
    with served(dsn) as site:
        host, port = site.url.removeprefix("http://").split(":")
        head = f"POST /v1/signals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key()}\r\n"
        half = socket.create_connection((host, int(port)), timeout=30)
        half.sendall(f"{head}Content-Length: 9\r\n\r\n{{".encode())
        assert httpx.get(f"{site.url}/healthz").status_code == 200
        began = time.monotonic()
    assert time.monotonic() - began < 10
    half.close()
