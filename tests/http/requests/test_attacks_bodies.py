"""Attacks on bodies: little is sent, much is asked for. Each is refused, and others are served meanwhile."""

import gzip
import json
import socket
import time
from dataclasses import dataclass

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.requests import held_bodies
from support.http_site import Site, served
from support.loop_latency import TOLERABLE, LoopLatency, watched
from support.raw_http import connected, with_settings

pytest_plugins = ("support.http_site", "support.loop_latency")

MIB = 1 << 20
NDJSON = "application/x-ndjson"
ANY = {"eventId": None, "createdDate": None}


def sent(site: Site, key: str, body: bytes, kind: str, *, packed: bool = False) -> httpx.Response:
    """The answer to a body of signals."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    if packed:
        headers["Content-Encoding"] = "gzip"
    return httpx.post(f"{site.url}/v1/signals", content=body, headers=headers, timeout=60)


@dataclass(frozen=True)
class Long:
    """A long body, made when a test needs it: all bodies of this module together would take 350 MB."""

    piece: bytes
    count: int
    before: bytes = b""
    behind: bytes = b""

    def made(self) -> bytes:
        """Its bytes."""
        return self.before + self.piece * self.count + self.behind

    def __str__(self) -> str:
        return f"{(self.before + 4 * self.piece)[:4]!r}"


def named(given: object) -> str | None:
    """The name of a parameter."""
    return str(given) if isinstance(given, Long) else None


@pytest.mark.parametrize(
    ("role", "kind", "unpacked", "status"),
    [
        (Role.WIDGET, "application/json", Long(b"[", 8 * MIB), 413),
        (Role.WIDGET, "application/json", Long(b"[1,", 8 * MIB // 3), 413),
        (Role.WIDGET, NDJSON, Long(b"\n", 64 * MIB), 413),
        (Role.SERVICE, "application/json", Long(b"[", MIB), 400),
        (Role.SERVICE, "application/json", Long(b"1,", MIB // 2, b"[", b"1]"), 413),
        (Role.SERVICE, "application/json", Long(b"1,", MIB // 2, b"[", b"NaN]"), 413),
        (Role.SERVICE, "application/json", Long(b"[", MIB, b'["', b'"]'), 200),
        (Role.SERVICE, NDJSON, Long(b"\n", 256 * MIB), 413),
        (Role.SERVICE, NDJSON, Long(b"x\n", 100_000), 413),
    ],
    ids=named,
)
def test_a_small_packed_body_does_not_stop_the_loop(
    watched_site: tuple[Site, LoopLatency], role: Role, kind: str, unpacked: Long, status: int
) -> None:
    """Some kilobytes of gzip that unpack to megabytes of brackets, elements or empty lines."""
    site, probe = watched_site
    body, key = gzip.compress(unpacked.made()), site.key(role)
    answers: list[httpx.Response] = []
    blocked = probe.blocked_by(lambda: answers.append(sent(site, key, body, kind, packed=True)))
    assert {answer.status_code for answer in answers} == {status}, answers[0].text
    assert blocked < TOLERABLE


@pytest.mark.parametrize(
    ("kind", "long", "status"),
    [
        ("application/json", Long(b"[", 8 * MIB - 1), 400),
        ("application/json", Long(b"1,", 4 * MIB - 2, b"[", b"1]"), 413),
        ("application/json", Long(b"[],", 2 * MIB, b"[[", b"1]]"), 400),
        ("application/json", Long(b"\\n", 2 * MIB, b'["', b'"]'), 200),
        ("application/json", Long(b" ", 8 * MIB - 2, behind=b"[]"), 200),
        (NDJSON, Long(b"\n", 8 * MIB), 200),
        (NDJSON, Long(b"x", 8 * MIB), 200),
    ],
    ids=named,
)
def test_a_long_plain_body_does_not_stop_the_loop(
    watched_site: tuple[Site, LoopLatency], kind: str, long: Long, status: int
) -> None:
    """Nothing of a size that callers choose is done in one piece; the answer is right all the same."""
    site, probe = watched_site
    body, key = long.made(), site.key(Role.SERVICE)
    answers: list[httpx.Response] = []
    blocked = probe.blocked_by(lambda: answers.append(sent(site, key, body, kind)))
    assert {answer.status_code for answer in answers} == {status}, answers[0].text
    assert blocked < TOLERABLE


def test_ten_thousand_signals_do_not_stop_the_loop(dsn: str) -> None:
    """The longest array that is taken: read on a thread, and answered in slices.

    Reading it alone takes longer than others may wait, by a factor that grows with the load of the machine.
    """
    lines = [json.dumps(examples.SIGNAL | ANY | {"customerId": f"{n}"}).encode() for n in range(10_000)]
    body = b"[" + b",".join(lines) + b"]"
    with watched(dsn) as (site, probe):
        began = time.perf_counter()
        future = site.service.submit(lines)
        reading = time.perf_counter() - began
        future.result(60)
        key = site.key(Role.SERVICE)
        answers: list[httpx.Response] = []
        blocked = probe.blocked_by(lambda: answers.append(sent(site, key, body, "application/json")))
        assert len(answers[0].json()["outcomes"]) == 10_000
        assert blocked < max(TOLERABLE, reading / 2)


def test_gzip_members_that_hold_nothing_are_bounded(watched_site: tuple[Site, LoopLatency]) -> None:
    """A mebibyte of them; several members that hold something are one body."""
    site, probe = watched_site
    key = site.key(Role.SERVICE)
    empty = gzip.compress(b"") * (MIB // 20)
    answers: list[httpx.Response] = []
    blocked = probe.blocked_by(lambda: answers.append(sent(site, key, empty, NDJSON, packed=True)))
    assert {answer.status_code for answer in answers} == {400}
    assert blocked < TOLERABLE
    line = json.dumps(examples.SIGNAL).encode() + b"\n"
    several = b"".join(gzip.compress(line) for _ in range(100))
    outcomes = sent(site, key, several, NDJSON, packed=True).json()["outcomes"]
    assert [one["outcome"] for one in outcomes] == ["recorded"] + ["duplicate"] * 99


def test_a_widget_key_sends_a_mebibyte(site: Site) -> None:
    """However it is sent; a service key sends more."""
    line = json.dumps(examples.SIGNAL | ANY | {"more": "x" * 60_000}).encode()
    widget, service = site.key(Role.WIDGET), site.key(Role.SERVICE)
    for kind, body in (
        (NDJSON, (line + b"\n") * 20),
        ("application/json", b"[" + b",".join([line] * 20) + b"]"),
    ):
        refused = sent(site, widget, body, kind)
        assert refused.status_code == 413
        assert "may be longer" not in refused.json()["detail"]  # not for this key
        assert sent(site, service, body, kind).status_code == 200


def test_a_beacon_is_64_kib_and_never_packed(site: Site) -> None:
    """Nobody has shown a key when it begins."""
    key = site.key(Role.WIDGET)
    first = json.dumps({"key": key}).encode() + b"\n"
    line = json.dumps(examples.SIGNAL).encode() + b"\n"

    def beacon(body: bytes | list[bytes], **headers: str) -> httpx.Response:
        content = iter(body) if isinstance(body, list) else body
        all_headers = {"Content-Type": "text/plain", **headers}
        return httpx.post(f"{site.url}/v1/signals", content=content, headers=all_headers, timeout=10)

    assert beacon(first + line).json()["outcomes"][0]["outcome"] == "received"
    assert beacon([b"\xef\xbb\xbf", *(bytes([one]) for one in first), line]).status_code == 200
    assert beacon(gzip.compress(first + line), **{"Content-Encoding": "gzip"}).status_code == 415
    assert beacon(first + b"x" * 65_536).status_code == 413
    assert beacon([first, b"x" * 65_537]).status_code == 413
    assert beacon([b"x" * 2_000] * 30).status_code == 400


def test_questions_are_bounded(watched_site: tuple[Site, LoopLatency]) -> None:
    """A thousand faults are not written out while others wait."""
    site, probe = watched_site
    headers = {"Authorization": f"Bearer {site.key(Role.SERVICE)}"}
    many = {"visitors": [{f"{one}": 1 for one in range(100_000)}]}
    for body, status in (
        (b'{"visitors": [' + b"1," * (MIB // 2 - 20) + b"1]}", 400),
        (json.dumps(many).encode()[: MIB - 1], 400),
        (b'{"visitors": "' + b"x" * MIB + b'"}', 413),
    ):
        answers: list[httpx.Response] = []

        def attack(body: bytes = body) -> None:
            answer = httpx.post(
                f"{site.url}/v1/suppressions:batch", content=body, headers=headers, timeout=60
            )
            answers.append(answer)  # noqa: B023 - called within the turn

        assert probe.blocked_by(attack) < TOLERABLE
        assert {answer.status_code for answer in answers} == {status}


def test_half_sent_bodies_are_bounded_together(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one peer, and in all; who is over the bound is told to come again, and what ends makes room."""
    monkeypatch.setattr(held_bodies, "MAX_BYTES", 2 * MIB)
    monkeypatch.setattr(held_bodies, "MAX_BYTES_OF_PEER", MIB)
    with served(dsn, prepare=with_settings(trusted_proxies="192.0.2.1")) as site:
        head = f"POST /v1/signals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key(Role.SERVICE)}\r\n"
        half = f"{head}Content-Length: {2 * MIB}\r\n\r\n".encode() + b" " * (700 << 10)

        def begun(source: str) -> tuple[socket.socket, bytes]:
            connection = connected(site, seconds=1, source=source)
            connection.sendall(half)
            try:
                return connection, connection.recv(12)
            except TimeoutError:
                return connection, b""

        made = [begun(source) for source in ("127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")]
        assert [answer for _, answer in made] == [b"", b"HTTP/1.1 503", b"", b"", b"HTTP/1.1 503"]
        for connection, _ in made:
            connection.close()
        eventually = time.monotonic() + 10
        while (again := begun("127.0.0.2"))[1]:
            again[0].close()
            assert time.monotonic() < eventually
        again[0].close()
