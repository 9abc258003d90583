"""The page on webhooks: its receivers take what a running service sends, and refuse what it did not."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from standardwebhooks import Webhook

from offerlog import Offerlog, open_offerlog
from support.journeys import signal
from support.processes import LimitedProcess, finish

IN_NODE = """
const ids = new Set();
const isNew = async (id) => !ids.has(id) && ids.add(id);
const store = async (event) => console.log(JSON.stringify(event));
"""

Stored = list[dict[str, Any]]


@contextmanager
def in_python(code: str, listening: socket.socket) -> Iterator[Stored]:
    """The receiver as it stands on the page, served by uvicorn."""
    ids, stored = set[str](), Stored()

    def is_new(message_id: str) -> bool:
        is_known = message_id in ids
        ids.add(message_id)
        return not is_known

    names: dict[str, Any] = {"__name__": "receiver", "is_new": is_new, "store": stored.append}
    exec(compile(code, "webhooks.md", "exec"), names)  # noqa: S102 - the documentation is ours
    server = uvicorn.Server(uvicorn.Config(names["app"], log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: server.run([listening]))
    thread.start()
    try:
        yield stored
    finally:
        server.should_exit = True
        finish(thread)


@contextmanager
def in_node(code: str, listening: socket.socket) -> Iterator[Stored]:
    """The same, in Node; what it stores, it prints."""
    port = str(listening.getsockname()[1])
    listening.close()
    stored = Stored()
    with LimitedProcess(
        ["node", "--input-type=module", "--eval", IN_NODE + code],
        env={**os.environ, "PORT": port},
        stdout=subprocess.PIPE,
    ) as process:

        def read() -> None:
            for line in process.stdout or ():
                stored.append(json.loads(line))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield stored
        finally:
            process.kill()
            finish(reader)


@pytest.fixture
def service(dsn: str) -> Iterator[Offerlog]:
    """A service that may send to this machine."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, webhook_networks="127.0.0.1") as opened:
        yield opened


def blocks(root: Path, language: str) -> str:
    """The code of the page in a language."""
    page = (root / "docs" / "webhooks.md").read_text()
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))


def signed(secret: str, body: str, at: datetime, message_id: str = "msg_1") -> dict[str, str]:
    """The headers of a message."""
    times = {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp()))}
    return {**times, "webhook-signature": Webhook(secret).sign(message_id, at, body)}


def await_stored(stored: Stored, number: int) -> None:
    """Wait until the receiver has stored so many events, and no more."""
    until = time.monotonic() + 30
    while len(stored) < number:
        assert time.monotonic() < until, f"{len(stored)} of {number} events were stored"
        time.sleep(0.01)
    assert len(stored) == number


@pytest.mark.parametrize(("language", "receive"), [("py", in_python), ("js", in_node)])
def test_a_documented_receiver_takes_what_is_signed_and_nothing_else(
    service: Offerlog,
    root: Path,
    language: str,
    receive: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each event once, however often it comes."""
    if language == "js" and shutil.which("node") is None:
        pytest.skip("node is not installed")
    # given
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/offerlog"
        made = service.webhooks.create(url, types=["offered"])
        monkeypatch.setenv("WEBHOOK_SECRET", made.secret)
        with receive(blocks(root, language), listening) as stored:
            # when
            service.record([signal("offered", visitor=n) for n in range(3)])
            service.webhooks.keep_delivering()
            await_stored(stored, 3)
            # then
            assert {one["type"] for one in stored} == {"io.offerlog.offered.v1"}
            # and when
            now, body = datetime.now(UTC), json.dumps(stored[0])

            def post(body: str, headers: Mapping[str, str]) -> int:
                return httpx.post(url, content=body, headers=dict(headers), timeout=20).status_code

            right = signed(made.secret, body, now)
            other = "whsec_" + "A" * 44
            # then
            assert [post(body, right) for _ in range(2)] == [204, 204]
            refused = [
                (body.replace("offered", "engaged"), right),
                (body, right | {"webhook-id": "msg_2"}),
                (body, signed(other, body, now)),
                (body, signed(made.secret, body, now - timedelta(minutes=6))),
                (body, right | {"webhook-signature": right["webhook-signature"].replace("v1", "v2")}),
                *((body, right | {"webhook-signature": text}) for text in ("v1", "v1,%%%", "x,y,z", "-")),
                (body, {}),
            ]
            assert [post(*one) for one in refused] == [401] * len(refused)
            await_stored(stored, 4)
