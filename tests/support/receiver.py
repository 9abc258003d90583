"""A receiver of webhooks on this machine: it answers as a test says, and remembers what it got."""

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from standardwebhooks import Webhook


class Answer(NamedTuple):
    """An answer of the receiver: its status, headers and body, and the seconds between two bytes of it."""

    status: int = 204
    headers: Mapping[str, str] = {}
    body: bytes = b""
    drip_seconds: float = 0.0


class Got(NamedTuple):
    """A request that the receiver got."""

    headers: Mapping[str, str]
    body: str
    path: str

    def verify(self, secret: str) -> Any:
        """The event, if the signature is right."""
        return Webhook(secret).verify(self.body, dict(self.headers))


class Receiver:
    """The receiver; `answers` are given one after the other, and then 204."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[Got] = []
        self.answers: list[Answer] = []
        self.held = threading.Event()
        self.held.set()

    def types(self, secret: str) -> list[str]:
        """The kinds of all events that it got, after a check of their signatures."""
        return [one.verify(secret)["type"].split(".")[2] for one in self.got]

    def await_requests(self, number: int, seconds: float = 20.0) -> None:
        """Wait until so many requests have come."""
        until = time.monotonic() + seconds
        while len(self.got) < number:
            assert time.monotonic() < until, f"{len(self.got)} of {number} requests have come"
            time.sleep(0.01)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            answer = receiver.answers.pop(0) if receiver.answers else Answer()
            receiver.got.append(Got({k.lower(): v for k, v in self.headers.items()}, body, self.path))
            receiver.held.wait(20)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            for byte in [answer.body] if not answer.drip_seconds else answer.body:
                self.wfile.write(byte if isinstance(byte, bytes) else bytes([byte]))
                self.wfile.flush()
                time.sleep(answer.drip_seconds)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """A sender may have gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver = Receiver(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/hook")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.held.set()
            server.shutdown()
            thread.join(10)
