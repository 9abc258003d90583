"""A service that has as many connections as it may have: a crowd shuts out nobody but itself."""

from contextlib import ExitStack, suppress

import httpx
import pytest

from contracts.recount import until
from http_site import served
from offerlog_infrastructure.http import connections
from raw_http import answer_of, connected, with_settings

SILENT = b""
BEHIND_ITS_ANSWER = b"POST /v1/signals HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
"""A body of which nothing comes; the answer, 401, does not wait for it."""
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40
CROWDED = {"max_connections": 20, "max_connections_per_peer": 8}


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
