"""A service that has as many connections as it may have: a crowd shuts out nobody but itself."""

import gc
import socket
import time
import weakref
from contextlib import ExitStack, suppress

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from offerlog_infrastructure.http.server import connections
from offerlog_infrastructure.http.server.eviction import FRESH_SECONDS, Evictor
from support.http_site import Site, served
from support.raw_http import answer_of, connected, with_settings
from support.recount import until

SILENT = b""
BEHIND_ITS_ANSWER = b"POST /v1/signals HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
"""A body of which nothing comes; the answer, 401, does not wait for it."""
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40
CROWDED = {"max_connections": 20, "max_connections_per_peer": 8}
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LARGE_BYTES = 12 << 20
"""More than the kernel's buffers of both sides hold."""


def prepare_two(app: FastAPI) -> None:
    """Allow two connections, and answer with a large body that is buffered at once."""
    with_settings(max_connections=2)(app)
    app.router.routes.insert(0, Route("/large", lambda _: PlainTextResponse(b"a" * LARGE_BYTES)))


def reading(site: Site, request: bytes) -> socket.socket:
    """A connection whose large answer has begun to come."""
    client = connected(site)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.sendall(request)
    assert client.recv(15) == b"HTTP/1.1 200 OK"
    return client


def answer_to_a_new_peer(site: Site) -> bytes:
    """Status of a request over a new connection of another address; empty if the connection is reset."""
    with connected(site, source="127.0.0.2") as client, suppress(ConnectionError):
        client.sendall(GET)
        return answer_of(client)[9:12]
    return b""


@pytest.mark.parametrize(
    ("sent", "patience"),
    [(SILENT, 0.0), (BEHIND_ITS_ANSWER, 0.0), (UNREAD, 20.0)],
    ids=["silent", "no body", "deaf"],
)
def test_a_crowd_shuts_out_nobody_but_itself(
    dsn: str, monkeypatch: pytest.MonkeyPatch, sent: bytes, patience: float
) -> None:
    """Five peers take all connections and come again; a sixth one is served.

    A client that does not read is safe for a moment, as it might still begin to; for a minute, before.
    """
    # given
    monkeypatch.setattr(connections, "_SLOW_SECONDS", 0.3)
    with served(dsn, prepare=with_settings(**CROWDED)) as site, ExitStack() as held:

        def come() -> None:
            for n in range(40):
                with suppress(ConnectionError):  # shut out already
                    client = held.enter_context(connected(site, source=f"127.0.0.{2 + n % 5}"))
                    client.sendall(sent)

        def status() -> int:
            return httpx.get(f"{site.url}/healthz", timeout=30).status_code

        for _ in range(3):
            # when
            come()
            # then
            if patience:
                until(lambda: status() == 200, patience)
            else:
                assert [status() for _ in range(4)] == [200] * 4


def test_streams_take_up_half_of_the_connections_at_most(dsn: str) -> None:
    """Nobody can end them in favour of others, as their clients wait."""
    # given
    with served(dsn, prepare=with_settings(**CROWDED)) as site, ExitStack() as held:
        keys = [site.key(organization=name) for name in ("alpha", "beta")]

        def opened(number: int) -> bytes:
            client = held.enter_context(connected(site, source=f"127.0.0.{2 + number % 5}"))
            who = f"Authorization: Bearer {keys[number % 2]}\r\n"
            client.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\n{who}\r\n".encode())
            return answer_of(client)[9:12]

        # when
        answers = [opened(number) for number in range(12)]
        # then
        assert answers == [b"200"] * 10 + [b"429"] * 2
        assert httpx.get(f"{site.url}/healthz").status_code == 200


def test_an_answer_that_is_read_is_not_cut_off(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is buffered as a whole, and its client reads slowly; one that stops to read makes room."""
    # given
    monkeypatch.setattr(connections, "_SLOW_SECONDS", 1.0)
    with (
        served(dsn, prepare=prepare_two) as site,
        reading(site, LARGE) as one,
        reading(site, LAST_LARGE) as other,
    ):
        # when
        got, refused, began = 0, 0, time.monotonic()
        while got < LARGE_BYTES:
            more = one.recv(1 << 16)
            assert more, f"cut off after {got:,} bytes"
            got += len(more)
            other.recv(1 << 14)
            if got < LARGE_BYTES // 2:  # of this half something is unsent for sure
                refused += answer_to_a_new_peer(site) in {b"503", b""}
                time.sleep(max(0.0, began + 2.0 * got / (LARGE_BYTES // 2) - time.monotonic()))
        # then
        assert refused > 10
        one.sendall(LAST_LARGE)
        until(lambda: answer_to_a_new_peer(site) == b"200", 20)


def test_a_request_whose_headers_are_coming_is_answered(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is safe for a moment, on which its client does not live for ever."""
    # given
    monkeypatch.setattr(connections, "_HEADERS_SAFE_SECONDS", 60.0)
    with served(dsn, prepare=prepare_two) as site, connected(site) as one, connected(site) as other:
        for client in (one, other):
            client.sendall(GET)
            assert answer_of(client)[9:12] == b"200"
            client.sendall(GET[:9])
        time.sleep(0.2)  # they are read
        # when
        refused = answer_to_a_new_peer(site)
        one.sendall(GET[9:])
        # then
        assert refused in {b"503", b""}
        assert answer_of(one)[9:12] == b"200"
        one.sendall(GET[:9])
        monkeypatch.setattr(connections, "_HEADERS_SAFE_SECONDS", 0.0)
        until(lambda: answer_to_a_new_peer(site) == b"200", 10)


def test_a_request_that_has_just_come_is_answered(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are in the kernel, and the connection looks idle."""
    # given
    with served(dsn, prepare=prepare_two) as site, connected(site) as one, connected(site) as other:
        for client in (one, other):
            client.sendall(GET)
            assert answer_of(client)[9:12] == b"200"
        look, looked = connections.BoundedConnection.idle_since, []

        def idle_since(self: connections.BoundedConnection) -> float | None:
            since = look(self)
            looked.append(self)
            if len(looked) == 3:  # all have been looked at: requests come before one of them ends
                one.sendall(GET)
                other.sendall(GET)
            return since

        monkeypatch.setattr(connections.BoundedConnection, "idle_since", idle_since)
        # when
        refused = answer_to_a_new_peer(site)
        # then
        assert refused in {b"503", b""}
        assert [answer_of(client)[9:12] for client in (one, other)] == [b"200"] * 2


class Idle:
    """A connection that has been idle for ever."""

    peer = "192.0.2.1"

    def idle_since(self) -> float | None:
        """The beginning of time."""
        return 0.0

    def evict(self) -> bool:
        """End."""
        return True


def test_closed_connections_are_not_kept_until_the_next_crowd() -> None:
    """They hold buffers and tasks."""
    # given
    evictor, crowd = Evictor(), [Idle() for _ in range(5)]
    assert evictor.evict_one(Idle(), 1, crowd, FRESH_SECONDS)
    known = [weakref.ref(one) for one in crowd]
    # when
    crowd.clear()
    gc.collect()
    # then
    assert [one() for one in known] == [None] * 5
    assert not evictor.evict_one(Idle(), 1, crowd, FRESH_SECONDS)
