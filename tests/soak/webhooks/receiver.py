"""A receiver that fails at random: it answers slowly, with errors or not at all, and is started again."""

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Final

from standardwebhooks import Webhook

from soak.services import free_port
from soak.webhooks.judge import Event, Run

_REQUEST_SECONDS: Final = 20
"""Seconds for which a connection waits for its next request."""

_WAYS: Final = {"take": 90, "slowly": 4, "refuse": 2, "rest": 1, "lose the answer": 2, "close": 1}
"""The ways to treat a request, each with its share in percent.

`rest` asks the sender to wait (503 with Retry-After); `close` takes nothing and ends the connection.
"""

_LONGEST_PAUSE: Final = 1.0
"""The longest wait of a slow answer, in seconds."""


class RandomReceiver:
    """The receiver, at one address all the time; it remembers in a run what it took.

    Args:
        run: The run.
        seed: Chooses the way to treat each request.

    Attributes:
        is_well: True to take everything from now on.
        secret: Checks the signatures; known once the webhook is made.
    """

    def __init__(self, run: Run, seed: int) -> None:
        self._run = run
        self._chance = Random(f"receiver {seed}")  # noqa: S311 - repeatable, no secret
        self._lock = threading.Lock()
        self._port = free_port()
        self._connections: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self._port}/hook"
        self.is_well = False
        self.secret = ""
        self.start()

    def start(self) -> None:
        """Take connections."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = _REQUEST_SECONDS

            def setup(self) -> None:
                with receiver._lock:
                    receiver._connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                with receiver._lock:
                    receiver._connections.discard(self.request)
                super().finish()

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                """A sender was killed, or a connection was closed."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Take no connections, and cut those that there are."""
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for one in self._connections:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"])).decode()
        Webhook(self.secret).verify(body, dict(request.headers.items()))
        event = json.loads(body)
        with self._lock:
            (way,) = self._chance.choices([*_WAYS], [*_WAYS.values()])
            pause = self._chance.random() * _LONGEST_PAUSE
            way = "take" if self.is_well else way
            if way in {"take", "slowly", "lose the answer"}:
                self._run.taken.append(Event(event["data"]["visitor"], int(event["id"])))
                self._run.lost_answers += way == "lose the answer"
        if way in {"lose the answer", "close"}:
            request.close_connection = True
            return
        if way == "slowly":
            time.sleep(pause)
        request.send_response({"refuse": 500, "rest": 503}.get(way, 204))
        if way == "rest":
            request.send_header("retry-after", "1")
        request.send_header("content-length", "0")
        request.end_headers()
