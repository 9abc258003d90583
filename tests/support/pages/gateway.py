"""What stands between browsers and the service: a reverse proxy that fails when a test says so."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler
from typing import Any

from support.pages.listening import listening

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "server", "date", "content-length"}


class Fault(Enum):
    """What may go wrong with a request."""

    UNREACHABLE = auto()
    """The connection ends before the request got anywhere."""

    ANSWER_LOST = auto()
    """The service gets the request; the connection ends before its answer is back."""

    ANSWER_HELD = auto()
    """The service gets the request; its answer waits until the gateway works again."""


@dataclass(frozen=True)
class Canned:
    """An answer of the gateway's own."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


Behaviour = Fault | Canned | Callable[[bytes], Canned | None] | None
"""None passes everything on; a function of the body may answer by itself."""


@dataclass
class Gateway:
    """One origin that browsers know, whatever becomes of the service behind it.

    Attributes:
        upstream: The port of the service.
        behaviour: What happens to the posts that come from now on.
        posts: The bodies of all posts that came, in order.
    """

    upstream: int = 0
    posts: list[bytes] = field(default_factory=list)
    _behaviour: Behaviour = None
    _works: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        """As browsers write it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def behaviour(self) -> Behaviour:
        """What happens to a post."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, wanted: Behaviour) -> None:
        self._behaviour = wanted
        if wanted is None:
            self._works.set()
            self._works = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Gateway"]:
        """Listen on a free port while the block runs."""

        class Handler(_Handler):
            gateway = self

        with listening(Handler) as self.port:
            try:
                yield self
            finally:
                self.behaviour = None

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Canned | None:
        """What a request gets; None for nothing at all."""
        behaviour, works = self._behaviour, self._works
        if method == "POST":
            self.posts.append(body)
            if behaviour is Fault.UNREACHABLE:
                return None
            own = behaviour(body) if callable(behaviour) else behaviour
            if isinstance(own, Canned):
                return own
        elif method == "OPTIONS" and isinstance(behaviour, Canned):
            return _PREFLIGHT
        answer = self._forward(method, path, headers, body)
        if method == "POST" and behaviour is Fault.ANSWER_LOST:
            return None
        if method == "POST" and behaviour is Fault.ANSWER_HELD:
            works.wait(60)
        return answer

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Canned | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            kept = tuple((n, v) for n, v in answer.getheaders() if n.lower() not in _HOP_BY_HOP)
            return Canned(answer.status, kept, answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


_PREFLIGHT = Canned(
    204,
    (
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Headers", "authorization, content-type"),
        ("Access-Control-Allow-Methods", "POST"),
    ),
)


class _Handler(BaseHTTPRequestHandler):
    gateway: Gateway

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_OPTIONS(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
        answer = self.gateway.answer(self.command, self.path, headers, body)
        self.close_connection = True
        if answer is None:
            return
        try:
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            pass  # the browser has left

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
        """Say nothing."""
