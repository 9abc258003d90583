"""Attacks on connections: bytes around requests, and connections that nobody uses. None needs a key."""

import resource
import socket
from collections.abc import Callable

import httpx
import pytest

from offerlog_infrastructure.http.server import connections
from offerlog_infrastructure.http.server.admission import RESERVED_FILES, limit_connections
from support.http_site import Site, served
from support.loop_latency import TOLERABLE, LoopLatency
from support.raw_http import answer_of, connected, rest_of, seconds_until_closed, with_settings

pytest_plugins = ("support.loop_latency",)

MIB = 1 << 20
POST = b"POST /v1/signals HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def taken(site: Site, begin: bytes, more: bytes, *, after_answer: bool = False) -> int:
    """The bytes, of at most 40 MiB, that the service takes before it ends the connection or reads no more."""
    with connected(site, seconds=10.0) as connection:
        connection.sendall(begin)
        if after_answer:
            assert answer_of(connection).startswith(b"HTTP/1.1 401")
        sent = 0
        try:
            while sent < 40 * MIB:
                connection.sendall(more)
                sent += len(more)
        except (ConnectionError, TimeoutError):
            pass
        return sent


@pytest.mark.parametrize("after_answer", [False, True])
@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000),
        (CHUNKED + b"0\r\na: ", b"b" * 65_536),
        (CHUNKED + b"0\r\n", b"a" * 65_536),
        (CHUNKED + b"1;", b"b" * 65_536),
        (CHUNKED + b"1;a=", b'"' + b"b" * 65_536),
        (CHUNKED, b"1\r\na\r\n" * 10_000),
    ],
    ids=["trailers", "trailer value", "trailer name", "chunk extension", "extension value", "tiny chunks"],
)
def test_what_stands_around_a_chunked_body_is_bounded(
    watched_site: tuple[Site, LoopLatency], begin: bytes, more: bytes, *, after_answer: bool
) -> None:
    """The connection ends, as soon as what is under way has come; the loop goes on."""
    site, probe = watched_site
    found: list[int] = []
    blocked = probe.blocked_by(lambda: found.append(taken(site, begin, more, after_answer=after_answer)))
    assert max(found) < 20 * MIB  # buffers of the kernel, both sides
    assert blocked < TOLERABLE


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 9_000),
    ],
    ids=["request line", "header value", "headers"],
)
def test_the_head_of_a_request_is_bounded(
    watched_site: tuple[Site, LoopLatency], begin: bytes, more: bytes
) -> None:
    """In bytes, however they are split."""
    site, probe = watched_site
    found: list[int] = []
    blocked = probe.blocked_by(lambda: found.append(taken(site, begin, more)))
    assert max(found) < 20 * MIB
    assert blocked < TOLERABLE


def test_honest_chunks_and_trailers_pass(watched_site: tuple[Site, LoopLatency]) -> None:
    """A long body in small chunks with trailers behind it, and the next request on the same connection."""
    site, _ = watched_site
    with connected(site) as connection:
        head = (
            POST
            + b"Authorization: Bearer "
            + site.key().encode()
            + b"\r\nContent-Type: application/x-ndjson\r\n"
        )
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"10\r\n" + b" " * 15 + b"\n\r\n")
        for _ in range(100):
            connection.sendall((b"10\r\n" + b" " * 15 + b"\n\r\n") * 1_000)
        connection.sendall(b"0\r\n" + b"Checksum: abc\r\n" * 20 + b"\r\n" + GET)
        got = b""
        while got.count(b"HTTP/1.1 200") < 2:
            got += answer_of(connection)
        assert b'"outcomes":[]' in got


def test_pipelined_requests_are_answered_in_order_and_held_back(
    watched_site: tuple[Site, LoopLatency],
) -> None:
    """All of them, if the client reads; if it does not, the service stops to take more."""
    site, probe = watched_site
    with connected(site) as connection:
        connection.sendall(GET * 500 + GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert rest_of(connection).count(b"HTTP/1.1 200") == 501
    found: list[int] = []
    blocked = probe.blocked_by(lambda: found.append(taken(site, b"", GET * 2_000)))
    assert max(found) < 20 * MIB
    assert blocked < TOLERABLE


@pytest.mark.parametrize(
    ("request_", "poke"),
    [
        (b"", b"\r\n"),
        (GET, b"\r\n"),
        (GET, b""),
        (POST + b"Content-Length: 100000\r\n\r\n{", b" "),
        (CHUNKED + b"1\r\n{\r\n", b"1\r\n \r\n"),
    ],
    ids=[
        "nothing asked",
        "line ends behind an answer",
        "silence",
        "a body behind its answer",
        "chunks behind it",
    ],
)
def test_stray_bytes_keep_no_connection_open(
    dsn: str, monkeypatch: pytest.MonkeyPatch, request_: bytes, poke: bytes
) -> None:
    """Answered, and no new request: it ends after the keep-alive time, whatever comes."""
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", 2.0)
    monkeypatch.setattr(connections, "_REQUEST_SECONDS", 2.0)
    with served(dsn, prepare=with_settings(keep_alive=2)) as site, connected(site) as connection:
        if request_:
            connection.sendall(request_)
            assert answer_of(connection).startswith(b"HTTP/1.1 ")
        assert seconds_until_closed(connection, poke) < 8


def test_a_body_must_come_at_some_speed(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is not silence; it is given up all the same. A slow line is fast enough."""
    monkeypatch.setattr(connections, "_SILENCE_SECONDS", 2.0)
    with served(dsn) as site:
        head = (
            POST
            + b"Authorization: Bearer "
            + site.key().encode()
            + b"\r\nContent-Type: application/x-ndjson\r\n"
        )
        with connected(site) as connection:
            connection.sendall(head + b"Content-Length: 100000\r\n\r\n")
            assert 1.5 < seconds_until_closed(connection, b" ") < 8
        with connected(site) as connection:
            connection.sendall(head + b"Content-Length: 100000\r\n\r\n")
            connection.settimeout(0.25)
            for _ in range(20):  # five seconds, 16 KB a second
                connection.sendall(b" " * 4_000)
                with pytest.raises(TimeoutError):
                    connection.recv(1)


def test_the_cap_leaves_files_for_the_store() -> None:
    """Whatever is asked for; the default is what the limit of open files leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limit_connections(50) == min(50, soft - RESERVED_FILES)
    assert limit_connections(10**6) == min(soft - RESERVED_FILES, 10**6)
    assert limit_connections(None) <= soft - RESERVED_FILES


def refused(site: Site, count: int, source: Callable[[int], str]) -> tuple[list[socket.socket], int]:
    """Connections that send nothing, and how many of them are answered 503 at once."""
    made = [connected(site, source=source(number)) for number in range(count)]
    full = 0
    for one in made:
        one.settimeout(0.2)
        try:
            full += one.recv(100).startswith(b"HTTP/1.1 503")
        except TimeoutError:
            pass
        except ConnectionError:
            full += 1
    return made, full


def test_one_peer_has_a_share_of_the_connections(dsn: str) -> None:
    """The next one is answered 503; other peers are let in, and so is this one when it has closed some."""
    prepare = with_settings(max_connections_per_peer=5, trusted_proxies="192.0.2.1")
    with served(dsn, prepare=prepare) as site:
        made, full = refused(site, 8, lambda _: "127.0.0.2")
        assert full == 3
        assert httpx.get(f"{site.url}/healthz").status_code == 200
        for one in made:
            one.close()
        with connected(site, source="127.0.0.2") as again:
            again.sendall(GET)
            assert answer_of(again).startswith(b"HTTP/1.1 200")


def test_idle_connections_shut_nobody_out(dsn: str) -> None:
    """At the cap the one that has been idle for longest makes room."""
    with served(dsn, prepare=with_settings(max_connections=20)) as site:
        made, _ = refused(site, 25, lambda number: f"127.0.0.{2 + number % 9}")
        assert httpx.get(f"{site.url}/healthz").status_code == 200
        for one in made:
            one.close()


def test_a_trusted_proxy_may_take_up_all(dsn: str) -> None:
    """It speaks for many visitors."""
    with served(dsn, prepare=with_settings(max_connections_per_peer=5)) as site:
        made, full = refused(site, 8, lambda _: "127.0.0.1")
        assert full == 0
        for one in made:
            one.close()
