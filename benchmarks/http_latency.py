"""Time to an answer over HTTP at a steady rate: offers, signals and look-ups, beside a bare ASGI endpoint.

The load is an open loop: requests are sent on a schedule, whatever the answers do. A latency counts from the
moment at which its request was due, so that a service that stands still cannot hide that from the figures.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvicorn
import uvloop
from children import END_SECONDS, child, end_with_parent, limited
from ground import database, percentile, say, server
from http_service import VISITORS, record_suppressions, serving
from traffic import MAPS

from offerlog_infrastructure.http.server.server import listen

RATES = (200, 1_000, 2_000)
"""Requests a second."""
SECONDS, WARM_UP_SECONDS = 5.0, 1.0
"""Length of a run, and the part of it that is not counted."""
CONNECTIONS = 256
ANSWER_SECONDS = 5.0
"""Wait for the last answers of a run."""
LATE_SECONDS = 0.01
"""A request that is sent later than this after it was due was not sent in time: no connection was free."""
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
KEY = "OFFERLOG_BENCH_KEY"
"""The environment variable that hands the generator a key."""

_LONGEST_PAUSE = 0.001
Ended = Callable[[int], None]
"""Called with the status of an answer; 0 where the connection was lost."""


class Connection(asyncio.Protocol):
    """A connection on which one request at a time is under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._got = b""
        self._ended: Ended | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def send(self, request: bytes, ended: Ended) -> None:
        """Send a request; `ended` is called once its answer is complete."""
        assert self.transport is not None
        self._ended = ended
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer, which has a Content-Length."""
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._got = b""
            self._end(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a request under way as lost."""
        del exc
        self._end(0)

    def _end(self, status: int) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(status)


class Load:
    """Requests on a schedule, over a fixed number of connections.

    Attributes:
        latencies: Seconds from the moment when each counted request was due until its answer.
        errors: Answers that are not a success, lost connections included.
        late: Requests that were not sent in time.
        unanswered: Requests without an answer at the end.
    """

    def __init__(self, make: Callable[[int], bytes], rate: int) -> None:
        self._make = make
        self._rate = rate
        self._count = int(rate * SECONDS)
        self._warm_up = int(rate * WARM_UP_SECONDS)
        self._free: list[Connection] = []
        self._due: deque[tuple[int, float]] = deque()
        self.latencies: list[float] = []
        self.errors = self.late = 0
        self.unanswered = self._count

    async def run(self, host: str, port: int) -> None:
        """Send everything, and wait some seconds for the last answers."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(Connection, host, port)
            self._free.append(connection)
        began, sent = time.perf_counter(), 0
        while sent < self._count:
            now = time.perf_counter()
            while sent < self._count and began + sent / self._rate <= now:
                self._due.append((sent, began + sent / self._rate))
                sent += 1
            self._send_due()
            pause = began + sent / self._rate - time.perf_counter()
            await asyncio.sleep(min(max(pause, 0.0), _LONGEST_PAUSE))
        end = time.perf_counter() + ANSWER_SECONDS
        while self.unanswered and time.perf_counter() < end:  # noqa: ASYNC110 - answers only count down
            await asyncio.sleep(0.01)

    def _send_due(self) -> None:
        while self._due and self._free:
            connection = self._free.pop()
            if connection.transport is None or connection.transport.is_closing():
                continue
            number, due = self._due.popleft()
            if number >= self._warm_up and time.perf_counter() - due > LATE_SECONDS:
                self.late += 1
            connection.send(self._make(number), self._note(connection, number, due))

    def _note(self, connection: Connection, number: int, due: float) -> Ended:
        def ended(status: int) -> None:
            self.unanswered -= 1
            if number >= self._warm_up:
                self.latencies.append(time.perf_counter() - due)
            if status not in {200, 201}:
                self.errors += 1
            if status:
                self._free.append(connection)
                self._send_due()

        return ended


def requests_of(kind: str, key: str) -> Callable[[int], bytes]:
    """Build the maker of the requests of a kind, by number; offers and signals are of a new visitor each."""
    run = uuid.uuid4().hex[:8]

    def post(path: str, body: bytes) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def ids(number: int) -> dict[str, str]:
        visitor = f"{run}-0000-4000-8000-{number:012x}"
        return {"customerId": visitor, "sessionId": visitor, "actionMapId": MAPS[number % len(MAPS)]}

    def offer(number: int) -> bytes:
        return post("/v1/offers", json.dumps(ids(number)).encode())

    def signal(number: int) -> bytes:
        who = ids(number)
        action = {"actionId": who["sessionId"], "eventId": who["sessionId"], "actionState": "offered"}
        return post("/v1/signals", json.dumps(who | action).encode())

    def look_up(number: int) -> bytes:
        path = f"/v1/visitors/visitor-{number % VISITORS}/suppressions"
        return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()

    return {"offers": offer, "signals": signal, "look-ups": look_up, "bare endpoint": signal}[kind]


def generate(kind: str, url: str, rate: int) -> None:
    """Send requests of one kind, and print what came of them as JSON."""
    load = Load(requests_of(kind, os.environ[KEY]), rate)
    host, port = urlsplit(url).hostname, urlsplit(url).port
    assert host is not None
    assert port is not None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(host, port))
    figures = {
        f"{name}, ms": percentile(load.latencies, share) * 1_000 if load.latencies else -1.0
        for name, share in SHARES.items()
    }
    figures |= {"errors": load.errors, "not sent in time": load.late, "unanswered": load.unanswered}
    print(json.dumps(figures))


def measured(kind: str, url: str, key: str, rate: int) -> dict[str, float]:
    """Run the generator as a separate process, and return its figures."""
    limit = SECONDS + 4 * END_SECONDS
    words = (sys.executable, __file__, "generate", kind, url, str(rate))
    with child(*words, seconds=limit, environment={KEY: key}) as process:
        try:
            printed, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            sys.exit(f"http_latency: {kind} at {rate}/s did not end within {limit:g} s")
    if process.returncode:
        sys.exit(f"http_latency: the generator of {kind} failed; its error stands above")
    figures: dict[str, float] = json.loads(printed)
    return figures


async def bare(
    scope: dict[str, object],
    receive: Callable[[], Awaitable[dict[str, object]]],
    send: Callable[[dict[str, object]], Awaitable[None]],
) -> None:
    """Read a body and answer: an ASGI application that does nothing else."""
    del scope
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def serve_bare() -> None:
    """Serve the bare endpoint until whoever started this process has ended."""
    end_with_parent()
    listening: socket.socket = listen("127.0.0.1", 0)
    config = uvicorn.Config(bare, http="httptools", log_config=None, access_log=False, lifespan="off")
    print(listening.getsockname()[1], flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listening]))


def main() -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    with server() as store:
        dsn = database(store)
        key = record_suppressions(dsn)
        for script, kinds in (
            (Path(__file__).with_name("http_service.py"), ("look-ups", "offers", "signals")),
            (Path(__file__), ("bare endpoint",)),
        ):
            with serving("/v1/signals" if len(kinds) > 1 else "bare", dsn, script=script) as url:
                for kind in kinds:
                    for rate in RATES:
                        for name, value in measured(kind, url, key, rate).items():
                            figures[f"{kind} at {rate}/s, {name}"] = value
    ratios = {
        f"{kind} at {rate}/s, p99 vs_bare": figures[f"{kind} at {rate}/s, p99, ms"]
        / figures[f"bare endpoint at {rate}/s, p99, ms"]
        for kind in ("look-ups", "offers", "signals")
        for rate in RATES
    }
    say("http-latency", figures, ratios)


if __name__ == "__main__":
    with limited():
        match sys.argv[1:]:
            case ["generate", kind, url, rate]:
                generate(kind, url, int(rate))
            case ["bare"]:
                serve_bare()
            case _:
                main()
