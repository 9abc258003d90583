"""Connections whose cost is bounded: in bytes, in time, in number.

The server's own connection takes headers and trailers of any size, parses at once whatever has come, and
waits for ever in several states. Here a connection is always in one of these states, and each of them ends:

| state | ends |
|---|---|
| first line and headers are coming | after `_REQUEST_SECONDS`, or `MOST_HEADER_BYTES` |
| a body is coming | after `_SILENCE_SECONDS` without a byte; below `_BYTES_A_SECOND` on the whole |
| the answer is sent, the body still comes | after `_DRAIN_SECONDS` |
| the client does not take the answer | after `_WRITE_SECONDS` without progress |
| idle between two requests | after the keep-alive time, whatever stray bytes come |
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from offerlog_infrastructure.http.peers import TrustedProxies, peer_of_address
from offerlog_infrastructure.http.problems import ProblemError, answer
from offerlog_infrastructure.http.server.admission import Admission
from offerlog_infrastructure.http.server.closing_answers import closing_answer
from offerlog_infrastructure.http.server.eviction import Evictor
from offerlog_infrastructure.http.server.old_clients import without_chunks
from offerlog_infrastructure.http.server.socket_state import WriteProgress, unread_bytes

MOST_HEADER_BYTES: Final = 64 << 10
"""First line and headers; also trailers, and whatever else stands around the bytes of a chunked body."""

MOST_URL_BYTES: Final = 60 << 10
"""The URL of a request, as it is sent. The server cannot take one apart from 64 KiB on."""

_REQUEST_SECONDS: Final = 20.0
"""How long a request's first line and headers may take to come."""

_SILENCE_SECONDS: Final = 60.0
"""How long nothing may come of a body that is waited for."""

_BYTES_A_SECOND: Final = 4 << 10
"""How fast a body must come on the whole, once it has taken `_SILENCE_SECONDS`."""

_DRAIN_SECONDS: Final = 10.0
"""How long the rest of a body may come that was answered before its end."""

_WRITE_SECONDS: Final = 60.0
"""How long a client may take nothing of what is sent to it."""

_PARTING_SECONDS: Final = 3.0
"""How long nothing may come of a body, once the service is told to stop."""

_LOOK_SECONDS: Final = 1.0
_SLICE: Final = 8 << 10
"""Bytes that are parsed at once: what they make, such as pipelined requests, is bounded in between."""

_MOST_HELD_BYTES: Final = 1 << 20
"""Bytes behind a request that is being answered; reading stops long before."""

_SLOW_SECONDS: Final = 5.0
"""Seconds without body sent or answer taken, after which a client may have to make room."""

_HEADERS_SAFE_SECONDS: Final = 1.0
"""Seconds that a request's headers may take to come before their connection may have to make room."""

_TOO_LARGE: Final = closing_answer(
    ProblemError(431, "headers-too-large", "at most 64 KiB around a request's body")
)
_LONG_URL: Final = ProblemError(414, "url-too-long", "at most 60 KiB", headers={"Connection": "close"})
_NOT_HTTP: Final = closing_answer(ProblemError(400, "malformed-request", "not a request of HTTP/1.1"))
_FULL: Final = closing_answer(
    ProblemError(503, "overloaded", "all connections are in use", headers={"Retry-After": "5"})
)


class BoundedConnection(HttpToolsProtocol):
    """A connection of the server, bounded as the module says.

    Attributes:
        admission: Counts all connections of the server; set for each server.
        evictor: Chooses which connection ends when there are as many as there may be; set for each server.
        peer: Whose connection it is; empty for a socket without addresses.
    """

    admission: ClassVar[Admission] = Admission(1_000, 1_000, TrustedProxies(""))
    evictor: ClassVar[Evictor] = Evictor()
    peer: str = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.loop.time()
        self._in_headers = True
        self._in_body = False
        self._header_bytes = 0
        self._url_bytes = 0
        self._body_bytes = 0
        self._framing_bytes = 0
        self._bytes_without_body = 0
        self._requests = 0
        self._held = bytearray()
        self._cycles: deque[RequestResponseCycle] = deque()
        self._stopping = False
        self._began = self._heard = self._answered = self._looked = now
        self._waited = 0.0
        self._progress = WriteProgress(now)
        self._is_evicted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its class
        """Let the connection in, or answer 503 and close it."""
        super().connection_made(transport)
        admission = self.admission
        self.peer = peer_of_address(self.client[0]) if self.client else ""
        let_in = admission.enter(self.client[0] if self.client else None)
        if let_in and len(self.connections) > admission.most:
            others = cast("Collection[BoundedConnection]", self.connections)  # of one server, so of one class
            let_in = self.evictor.evict_one(self, admission.number(self.peer), others, self.loop.time())
        if not let_in:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for cycle in self._cycles:  # its class tells the newest one alone that nobody is there any more
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        self._held.clear()
        self._cycles.clear()
        self.pipeline.clear()
        self.admission.leave(self.client[0] if self.client else None)

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as the requests before it allow."""
        self._heard = self.loop.time()
        if self._held or self.pipeline:
            self._hold(data)
        else:
            self._parse(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._requests += 1
        self._in_headers, self._in_body = True, False
        self._header_bytes = self._url_bytes = self._body_bytes = self._framing_bytes = (
            self._bytes_without_body
        ) = 0
        self._waited = 0.0
        self._began = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL; of one that is too long, keep the beginning."""
        self._url_bytes += len(url)
        super().on_url(url[: max(0, MOST_URL_BYTES - len(self.url))])

    def send_400_response(self, msg: str) -> None:
        """Answer what is not a request, and close the connection; the parser calls this."""
        del msg
        self.transport.write(_NOT_HTTP)
        self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop a trailer, which nobody reads."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the application."""
        self._in_headers, self._in_body = False, True
        self._bytes_without_body = 0
        served = self.app
        if self.parser.get_http_version() == "1.0":
            self.app = without_chunks(served)
        if self._url_bytes > MOST_URL_BYTES:
            self.app = answer(_LONG_URL)
        try:
            super().on_headers_complete()
        finally:
            self.app = served
        self._cycles.append(self.cycle)
        if self.parser.should_upgrade():  # the parser takes nothing more behind a request to upgrade
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._body_bytes += len(body)
        self._bytes_without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request: its body has come."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with what the client has sent behind the request."""
        super().on_response_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._answered = self._began = self.loop.time()  # what has begun behind it has waited until now
        if self.pipeline:
            self.flow.pause_reading()  # it has been resumed, whatever waits
        elif self._held:
            self.loop.call_soon(self._parse_held)

    def resume_writing(self) -> None:
        """Note that the client takes what is sent to it."""
        super().resume_writing()
        self._progress.at = self.loop.time()

    def shutdown(self) -> None:
        """End with the request that is being answered, as the service is told to stop."""
        super().shutdown()
        self._stopping = True

    def end_if_late(self) -> None:
        """Close the connection if its state has lasted too long."""
        now = self.loop.time()
        passed, self._looked = now - self._looked, now
        if self._is_stuck(now):
            self.transport.abort()
        elif not self.transport.is_closing() and self._is_late(now, passed):
            self.transport.close()

    def idle_since(self) -> float | None:
        """Time since when no caller has been waiting for it, by the monotonic clock; None while one is.

        An answer is waited for until its last byte has left: the server calls it complete as soon as it is
        buffered. A client that does not go on counts as idle: with its headers, with a body that comes too
        slowly, with the rest of a body that is answered already, and with an answer that it does not take.
        """
        if self._is_evicted:
            return None
        now = self.loop.time()
        written = self._progress.note(self.transport, now)
        if self.transport.get_write_buffer_size():  # closing or not: it is closed when all is sent
            return written if now - written > _SLOW_SECONDS else None
        if self.transport.is_closing():
            return None
        if not self._is_answering():
            waits = (self._held or self.pipeline) and not self._in_body
            begins = self._in_headers and self._requests and now - self._began <= _HEADERS_SAFE_SECONDS
            return None if waits or begins else max(self._began, self._answered)
        coming = self._in_body and not self.flow.read_paused
        is_slow = coming and self._body_bytes < _BYTES_A_SECOND * (now - self._began - _SLOW_SECONDS)
        return self._began if is_slow else None

    def evict(self) -> bool:
        """End in favour of a new connection; false if a request has just come that is not read yet.

        Unsent bytes are dropped: their client has taken none for `_SLOW_SECONDS`, and would hold the place.
        """
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        elif not self._in_body and not self.flow.read_paused and unread_bytes(self.transport):
            return False
        else:
            self.transport.close()
        self._is_evicted = True
        return True

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _is_late(self, now: float, passed: float) -> bool:
        if self.flow.read_paused or self._held:
            return False  # it is the service that takes its time
        if self._in_headers:
            return now - self._began > _REQUEST_SECONDS and not self._is_answering()
        if self._in_body and not self.cycle.response_complete:
            self._waited += passed
            silence = _PARTING_SECONDS if self._stopping else _SILENCE_SECONDS
            longest = _SILENCE_SECONDS + self._body_bytes / _BYTES_A_SECOND
            return now - self._heard > silence or self._waited > longest
        if self._in_body:
            return now - self._answered > _DRAIN_SECONDS
        return not self._is_answering() and now - self._answered > self.timeout_keep_alive

    def _is_stuck(self, now: float) -> bool:
        return now - self._progress.note(self.transport, now) > _WRITE_SECONDS

    def _parse(self, data: bytes) -> None:
        for at in range(0, len(data), _SLICE):
            if self.transport.is_closing():
                return
            if self.pipeline:
                self._hold(data[at:])
                return
            self._parse_slice(data if len(data) <= _SLICE else data[at : at + _SLICE])

    def _parse_slice(self, data: bytes) -> None:
        began_in_body = self._in_body
        request, body_bytes = self._requests, self._body_bytes
        self._bytes_without_body += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
        elif began_in_body and self._in_body and request == self._requests:
            self._framing_bytes += len(data) - (self._body_bytes - body_bytes)
        if (
            self._header_bytes > MOST_HEADER_BYTES
            or (self._in_body and self._bytes_without_body > MOST_HEADER_BYTES)
            or self._framing_bytes > MOST_HEADER_BYTES + self._body_bytes
        ):
            if self._in_headers or not self.cycle.response_started:
                is_long_url = self._in_headers and self._url_bytes > MOST_URL_BYTES
                self.transport.write(closing_answer(_LONG_URL) if is_long_url else _TOO_LARGE)
            self.transport.close()

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.pause_reading()
        if len(self._held) > _MOST_HELD_BYTES:
            self.transport.abort()

    def _parse_held(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        self._parse(held)
        if not self._held and not self.pipeline and not self.transport.is_closing():
            self.flow.resume_reading()


async def end_late(connections: Iterable[Any]) -> None:
    """Close connections of a server that are late, until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for one in list(connections):
            if isinstance(one, BoundedConnection):
                one.end_if_late()
