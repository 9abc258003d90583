"""Ordinary clients and proxies that are not quite as the service expects them."""

import codecs
import gzip
import json
import logging
import socket
import struct
import time

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.server import connections
from support.http_site import Site, served
from support.raw_http import answer_of, connected, rest_of

pytest_plugins = ("support.http_site",)

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
STATIC = b"GET /static/offerlog.js HTTP/1.1\r\nHost: x\r\n\r\n"
LINE = json.dumps(examples.SIGNAL).encode()
NDJSON = "application/x-ndjson"


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


@pytest.mark.parametrize(
    ("hosts", "status"),
    [(b"", b"400"), (b"Host: x\r\n", b"200"), (b"Host: x\r\nHost: x\r\n", b"400"), (b"Host:\r\n", b"200")],
    ids=["none", "one", "two", "an empty one"],
)
def test_a_request_has_exactly_one_host(site: Site, hosts: bytes, status: bytes) -> None:
    """As RFC 9112 asks for."""
    with connected(site) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 " + status)


def test_old_clients_get_no_chunks(site: Site, admin: httpx.Client) -> None:
    """HTTP/1.0 knows neither Host nor chunks: an answer of unknown length ends with the connection."""
    refused = examples.SIGNAL | {"actionId": None}
    site.service.wait(admin.post("/v1/signals", json=[refused] * 3).json()["position"] or 0)
    key = site.key().encode()
    for path in (b"/healthz", b"/static/offerlog.js", b"/v1/refusals"):
        asked = b"GET " + path + b" HTTP/1.0\r\nAccept: " + NDJSON.encode()
        with connected(site) as connection:
            connection.sendall(asked + b"\r\nAuthorization: Bearer " + key + b"\r\n\r\n")
            head, _, body = rest_of(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        assert b"transfer-encoding" not in head.lower()
        assert body
    assert [json.loads(line)["reason"] for line in body.splitlines()] == ["malformed"] * 3


def test_a_wish_for_another_protocol_does_not_lame_the_connection(site: Site) -> None:
    """Java's client asks for HTTP/2 with its first request: it is answered, and the connection ends."""
    with connected(site) as connection:
        upgrade = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
        connection.sendall(GET.replace(b"Host: x\r\n", upgrade))
        got = rest_of(connection)
    assert got.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in got


def test_a_client_that_resets_leaves_no_traceback(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of files that it has asked for in advance."""
    with caplog.at_level(logging.ERROR):
        for _ in range(20):
            connection = connected(site)
            connection.sendall(STATIC * 50)
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        assert httpx.get(f"{site.url}/healthz").status_code == 200
        time.sleep(0.5)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def answers_on(connection: socket.socket) -> int:
    """How many answers come until the other side ends the connection, or nothing comes for a while."""
    got = b""
    connection.settimeout(3)
    try:
        while more := connection.recv(65_536):
            got += more
    except (TimeoutError, ConnectionError):
        pass
    return got.count(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_is_let_go(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that nobody takes do not stay in memory; a slow reader gets all of them."""
    monkeypatch.setattr(connections, "_WRITE_SECONDS", 2.0)
    with served(dsn) as site, connected(site) as idle, connected(site) as slow:
        for one in (idle, slow):
            one.sendall(STATIC * 400)
        read = 0
        for _ in range(24):
            read += slow.recv(40_000).count(b"HTTP/1.1 200")
            time.sleep(0.25)
        assert answers_on(idle) < 390
        assert read + answers_on(slow) >= 399  # a line that is cut in two is not counted


def posted(site: Site, body: bytes, kind: str = "application/json", **headers: str) -> httpx.Response:
    """The answer to signals sent with a service key."""
    all_headers = {"Authorization": f"Bearer {site.key(Role.SERVICE)}", "Content-Type": kind, **headers}
    return httpx.post(f"{site.url}/v1/signals", content=body, headers=all_headers, timeout=30)


def test_a_byte_order_mark_is_taken_off(site: Site) -> None:
    """Before an array, an object and the first line, packed or not: no signal vanishes."""
    mark = codecs.BOM_UTF8
    for body, kind in (
        (mark + b"[" + LINE + b"," + LINE + b"]", "application/json"),
        (mark + LINE + b"\n" + LINE + b"\n", NDJSON),
    ):
        outcomes = posted(site, body, kind).json()["outcomes"]
        assert [one["outcome"] for one in outcomes][1:] == ["duplicate"]
        assert outcomes[0]["outcome"] in {"recorded", "duplicate"}
        packed = posted(site, gzip.compress(body), kind, **{"Content-Encoding": "gzip"})
        assert [one["outcome"] for one in packed.json()["outcomes"]] == ["duplicate"] * 2
    assert posted(site, mark + LINE).json()["outcomes"][0]["outcome"] == "duplicate"


@pytest.mark.parametrize(
    ("body", "kind", "hint"),
    [
        (LINE + b"\n" + LINE + b"\n", "application/json", "application/x-ndjson"),
        (LINE + b" x", "application/json", "not one JSON value"),
        (b"hello", "application/json", "not one JSON value"),
        (LINE[:-1], "application/json", "not one JSON value"),
        ((LINE + b"\n") * 1_000, "application/json", "application/x-ndjson"),
        (LINE.decode().encode("utf-16"), "application/json", "UTF-16"),
        (LINE.decode().encode("utf-16-le"), NDJSON, "UTF-16"),
        (LINE.decode().encode("utf-32"), NDJSON, "UTF-32"),
        (gzip.compress(LINE), NDJSON, "Content-Encoding: gzip"),
        (b"PK\x03\x04" + LINE, NDJSON, "zip"),
        (b"\xfd7zXZ\x00" + LINE, "application/json", "xz"),
    ],
)
def test_a_body_that_is_no_signals_is_one_clear_error(site: Site, body: bytes, kind: str, hint: str) -> None:
    """Nothing of it is kept, and the answer says what to send instead."""
    answer = posted(site, body, kind)
    assert answer.status_code == 400
    assert hint in answer.json()["detail"]
    assert list(site.service.refusals()) == []


def test_a_form_behind_a_proxy_says_what_to_configure(site: Site) -> None:
    """A proxy that rewrites Host makes every form look foreign."""
    headers = {"Origin": "https://offerlog.example", "Sec-Fetch-Site": "same-origin"}
    answer = httpx.post(f"{site.url}/login", data={"key": site.key()}, headers=headers)
    assert answer.status_code == 403
    detail = answer.json()["detail"]
    assert "https://offerlog.example" in detail
    assert site.url.removeprefix("http://") in detail
    assert "proxy_set_header Host" in detail
