"""The service over HTTP beside a bare "validate and return" endpoint of the same framework; driven by wrk."""

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from children import DSN, child, end_with_parent, limited, missing
from children import SECONDS as LIMIT
from fastapi import Request, Response
from ground import database, say, server, settle, timed
from ingest_bulk import record
from traffic import MAPS, day

from offerlog_application.ports.keys import Role
from offerlog_domain.signals import SIGNAL
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.http.app import create_app
from offerlog_infrastructure.http.requests.access import Reader
from offerlog_infrastructure.http.requests.parameters import CustomerId
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.server.server import listen, run
from offerlog_infrastructure.http.threads.dispatch import run_look_up
from offerlog_infrastructure.http.threads.shared_reads import SharedRead
from offerlog_infrastructure.presentation.documents import describe_freshness, describe_suppression
from offerlog_infrastructure.settings import Settings

CONNECTIONS, SECONDS = 256, 8
VISITORS = 2_000
"""Visitors with a suppressed offer, whom look-ups ask for."""
POST = """
local n = 0
local thread = 0
function setup(t) thread = thread + 1; t:set("id", thread) end
function request()
  n = n + 1
  local id = string.format("%08x-%04x-4000-8000-%012x", RUN, id, n)
  return wrk.format("POST", nil, nil, '{"actionMapId":"00000000-0000-4000-8000-00000000000' .. (n % 10)
    .. '","customerId":"' .. id .. '","sessionId":"' .. id .. '"MORE}')
end
"""
"""The script of `wrk` for offers, each of a new visitor."""
SIGNALS = POST.replace(
    "MORE", ""","actionState":"offered","actionId":"' .. id .. '","eventId":"' .. id .. '\""""
)
"""The same for signals."""
GET = """
local n = 0
function request()
  n = n + 1
  return wrk.format("GET", (wrk.path:gsub("VISITOR", "visitor-" .. n % VISITORS)))
end
""".replace("% VISITORS", f"% {VISITORS}")
"""The same for look-ups."""


def main(path: str | None = None) -> None:
    """Measure and print; with an argument, serve for the measurement."""
    if path is not None:
        serve(path, os.environ[DSN])
        return
    if hint := missing("wrk"):
        sys.exit(f"http_service: {hint}")
    figures: dict[str, float] = {}
    lines = day(20_000)
    with server() as store, tempfile.TemporaryDirectory() as folder:
        ours = database(store)
        key = record_suppressions(ours)
        load = partial(rate, key=key, script=Path(folder) / "calls.lua")
        with serving("/v1/signals", ours) as url:
            figures["single posts/s"] = load(f"{url}/v1/signals", SIGNALS, 1)
            figures["offers/s"] = load(f"{url}/v1/offers", POST.replace("MORE", ""), 2)
            figures["look-ups/s"] = load(f"{url}/v1/visitors/VISITOR/suppressions", GET, 3)
            body = Path(folder) / "day.ndjson"
            body.write_bytes(b"\n".join(lines))
            figures["NDJSON signals/s"] = len(lines) / timed(lambda: upload(f"{url}/v1/signals", key, body))
        with serving("/bare", ours) as url:
            figures["bare endpoint, posts/s"] = load(f"{url}/bare", SIGNALS, 4)
            figures["look-ups with a thread and a statement each/s"] = load(
                f"{url}/thread-each/VISITOR", GET, 5
            )
        for project, what in ((False, "no projections"), (True, "projections too")):
            other = database(store)
            with open_offerlog(database_url=other, keep_deadlines=False, project=project) as service:
                figures[f"ingest-bulk in process, {what}, signals/s"] = len(lines) / timed(
                    partial(record, service, lines, 3)
                )
    single, bulk = figures["single posts/s"], figures["NDJSON signals/s"]
    ratios = {
        "vs_bare": single / figures["bare endpoint, posts/s"],
        "look-ups, vs_thread_each": figures["look-ups/s"]
        / figures["look-ups with a thread and a statement each/s"],
        "vs_bulk": bulk / figures["ingest-bulk in process, no projections, signals/s"],
        "vs_bulk, projections too": bulk / figures["ingest-bulk in process, projections too, signals/s"],
    }
    say("http", figures, ratios)


def record_suppressions(dsn: str) -> str:
    """Record a rejected offer of each visitor whom look-ups ask for; return the text of a key."""
    actions = [str(uuid.uuid4()) for _ in range(VISITORS)]
    signals = [
        {
            "actionId": action,
            "actionState": state,
            "actionMapId": MAPS[0],
            "customerId": f"visitor-{number}",
            "sessionId": action,
        }
        for number, action in enumerate(actions)
        for state in ("offered", "rejected")
    ]
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(service.record(signals).position)
        return service.keys.create("default", Role.SERVICE, "")[1]


def rate(url: str, calls: str, number: int, *, key: str, script: Path) -> float:
    """Requests a second of wrk, by a script whose `RUN` is this number."""
    script.write_text(calls.replace("RUN", str(number)))
    result = subprocess.run(
        [
            *("wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-s", script),
            *("-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json", url),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    ).stdout
    assert "Non-2xx" not in result, result
    return float(re.search(r"Requests/sec:\s+([\d.]+)", result)[1])  # type: ignore[index] # wrk always says so


def upload(url: str, key: str, body: Path) -> None:
    """One NDJSON body."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    request = urllib.request.Request(url, body.read_bytes(), headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:  # noqa: S310 - as above
        answer.read()


@contextmanager
def serving(path: str, dsn: str, script: str | Path = __file__) -> Iterator[str]:
    """A server process: a script with a path as its argument, which prints its port."""
    with child(sys.executable, script, path, dsn=dsn) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            sys.exit(f"{Path(script).stem}: the server ended before it served; its error stands above")
        yield f"http://127.0.0.1:{port}"


def serve(path: str, dsn: str) -> None:
    """Serve until told to stop, or until whoever started it has ended."""
    end_with_parent()
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        app = create_app(service, service.keys, Settings())

        if path == "/bare":
            freshness = SharedRead(service.freshness, fresh_seconds=0.1)

            @app.post("/bare")
            async def bare(request: Request) -> Response:
                signal = SIGNAL.validate_json(await request.body(), by_alias=True, by_name=False)
                return Response(signal.to_json(), media_type="application/json")

            @app.get("/thread-each/{customer_id}")
            async def look_up(request: Request, key: Reader, customer_id: CustomerId) -> Response:
                """Look up as before look-ups were gathered: the framework's layers, a thread, a statement."""

                def read() -> bytes:
                    found = service.suppressions(customer_id, organization=key.organization)
                    listed = [describe_suppression(one) for one in found]
                    return encode_escaped({**describe_freshness(fresh), "suppressions": listed})

                fresh = await freshness.now()
                return Response(await run_look_up(request, (), read), media_type="application/json")

        settle()
        listening = listen("127.0.0.1", 0)
        run(app, listening, lambda: print(listening.getsockname()[1], flush=True), None)


if __name__ == "__main__":
    with limited():
        main(*sys.argv[1:])
