"""Uploads that go on: they end with their key, and what the service holds of them is bounded."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.routes import signals
from support.http_site import Site
from support.raw_http import connected, rest_of
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

NDJSON = "application/x-ndjson"
SIGNAL = examples.SIGNAL | {"eventId": None, "createdDate": None}


def head(path: str, key: str, kind: str, length: int | None = None) -> bytes:
    """The head of a request whose body comes later, by its length or in chunks."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    bearer = f"Authorization: Bearer {key}"
    lines = (f"POST {path} HTTP/1.1", "Host: x", bearer, f"Content-Type: {kind}", size, "", "")
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/signals", json.dumps([SIGNAL]).encode()),
        ("/v1/offers", json.dumps({"customerId": "v"}).encode()),
        ("/v1/suppressions:batch", json.dumps({"visitors": []}).encode()),
    ],
)
def test_a_body_that_is_read_as_a_whole_ends_with_its_key(
    site: Site, dsn: str, path: str, body: bytes
) -> None:
    """An array that has begun while the key was good is not recorded after that."""
    # given a request of which a part has come
    with connected(site, seconds=20) as upload:
        upload.sendall(head(path, site.key(Role.SERVICE), "application/json", len(body)) + body[:5])
        time.sleep(0.5)
        # when its key is revoked by another process
        rows(dsn, "UPDATE api_keys SET revoked_at = now()")
        began = time.monotonic()
        answer = rest_of(upload)
    # then it is answered within five seconds, although nothing more has come
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"revoked" in answer
    assert time.monotonic() - began < 6
    assert rows(dsn, "SELECT count(*) FROM offerlog_events") == [(0,)]


def test_a_beacon_is_not_recorded_once_its_key_is_revoked(site: Site, dsn: str) -> None:
    """Its key is the first line, and the rest may come a minute later."""
    key = site.key(Role.WIDGET)
    body = json.dumps({"key": key}).encode() + b"\n" + json.dumps(SIGNAL).encode()
    with connected(site, seconds=20) as beacon:
        beacon.sendall(head("/v1/signals", "none", "text/plain", len(body)) + body[:-1])
        time.sleep(0.5)
        rows(dsn, "UPDATE api_keys SET revoked_at = now()")
        time.sleep(3.5)  # a valid key is remembered for three
        beacon.sendall(body[-1:])
        assert beacon.recv(65_536).startswith(b"HTTP/1.1 401 ")
    assert rows(dsn, "SELECT count(*) FROM offerlog_events") == [(0,)]


def test_long_lines_are_handed_in_before_there_are_a_thousand(site: Site, dsn: str) -> None:
    """A thousand lines of 64 KiB would be 64 MiB in memory, for each connection."""
    with connected(site, seconds=20) as upload:
        upload.sendall(head("/v1/signals", site.key(Role.SERVICE), NDJSON))
        for n in range(40):
            line = json.dumps(SIGNAL | {"customerId": f"{n}", "more": "x" * 60_000}).encode() + b"\n"
            upload.sendall(b"%x\r\n%b\r\n" % (len(line), line))
        until(lambda: rows(dsn, "SELECT count(*) >= 30 FROM offerlog_events") == [(True,)], 15)


def test_the_outcomes_of_one_json_answer_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bytes sent are a hundred and more of outcome: whoever sends very many has them streamed."""
    monkeypatch.setattr(signals, "_MAX_ANSWER_BYTES", 200_000)
    body = b"x\n" * 5_000
    with site.client(Role.SERVICE) as client:
        # given a body of which the outcomes are longer than that
        refused = client.post("/v1/signals", content=body, headers={"Content-Type": NDJSON})
        # then the answer says so, what is recorded, and what to do
        assert refused.status_code == 413
        assert "At least the first 2,000 are recorded" in refused.json()["detail"]
        assert "Accept: application/x-ndjson" in refused.json()["detail"]
        # and that works
        kinds = {"Content-Type": NDJSON, "Accept": NDJSON}
        streamed: httpx.Response = client.post("/v1/signals", content=body, headers=kinds)
        assert len(streamed.text.splitlines()) == 5_000


def test_outcomes_are_streamed_while_the_body_still_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line has its outcome, however late it comes behind the first ones."""
    # given
    monkeypatch.setattr(signals, "_BATCH", 10)
    lines = [b'{"actionId": "%d"}\n' % number for number in range(100)]

    def body() -> Iterator[bytes]:
        yield b"".join(lines[:50])
        until(lambda: sum(site.service.refusal_counts().counts.values()) >= 10)
        yield b"".join(lines[50:90])
        time.sleep(0.1)
        yield b"".join(lines[90:])

    # when
    with site.client(Role.SERVICE) as client:
        headers = {"Content-Type": NDJSON, "Accept": NDJSON}
        answer = client.post("/v1/signals", content=body(), headers=headers)
    # then
    assert (answer.status_code, answer.text.count("\n")) == (200, 100)
