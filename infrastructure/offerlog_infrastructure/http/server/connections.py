"""Connections with bounded cost: in bytes, in time, in number.

The server's own connection accepts headers and trailers of any size, parses all received bytes at once, and
waits without end in several states. Here a connection is always in one of these states, and each state ends:

| state | ends |
|---|---|
| first line and headers arrive | after `_REQUEST_SECONDS`, or `MAX_HEADER_BYTES` |
| a body arrives | after `_SILENCE_SECONDS` without a byte; below `_BYTES_PER_SECOND` on average |
| the answer is sent, the body still arrives | after `_DRAIN_SECONDS` |
| the client does not read the answer | after `_WRITE_SECONDS` without progress |
| idle between two requests | after the keep-alive time, even if stray bytes arrive |
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
from offerlog_infrastructure.http.server.socket_state import WriteProgress, count_unread_bytes

MAX_HEADER_BYTES: Final = 64 << 10
"""Most bytes of first line and headers; also of trailers and all other framing of a chunked body."""

MAX_URL_BYTES: Final = 60 << 10
"""Most bytes of a request's URL, as it is sent. The server cannot parse a URL of 64 KiB or more."""

_REQUEST_SECONDS: Final = 20.0
"""Most seconds until a request's first line and headers have arrived."""

_SILENCE_SECONDS: Final = 60.0
"""Most seconds without a byte of a body that the service reads."""

_BYTES_PER_SECOND: Final = 4 << 10
"""Least average speed of a body, once it has taken `_SILENCE_SECONDS`."""

_DRAIN_SECONDS: Final = 10.0
"""Most seconds for the rest of a body that was answered before its end."""

_WRITE_SECONDS: Final = 60.0
"""Most seconds in which a client reads nothing of its answer."""

_STOPPING_SECONDS: Final = 3.0
"""Most seconds without a byte of a body, once the service stops."""

_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks of all connections."""

_SLICE: Final = 8 << 10
"""Bytes that are parsed at once. Their products, such as pipelined requests, are bounded between slices."""

_MAX_HELD_BYTES: Final = 1 << 20
"""Most bytes that are held behind a request under way; reading stops long before."""

_SLOW_SECONDS: Final = 5.0
"""Seconds without progress of body or answer, after which a connection may be evicted."""

_HEADERS_SAFE_SECONDS: Final = 1.0
"""Seconds for a request's headers, after which their connection may be evicted."""

_TOO_LARGE: Final = closing_answer(
    ProblemError("headers-too-large", "at most 64 KiB around a request's body")
)
_LONG_URL: Final = ProblemError("url-too-long", "at most 60 KiB", headers={"Connection": "close"})
_NOT_HTTP: Final = closing_answer(ProblemError("malformed-request", "not a request of HTTP/1.1"))
_FULL: Final = closing_answer(
    ProblemError("overloaded", "all connections are in use", headers={"Retry-After": "5"})
)


class BoundedConnection(HttpToolsProtocol):
    """A connection of the server, with the bounds that the module describes.

    Attributes:
        admission: Counts all connections of the server; set for each server.
        evictor: Chooses the connection to close when the limit is reached; set for each server.
        peer: Address of the client; empty for a socket without addresses.
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
        self._began = self._received = self._answered = self._checked = now
        self._waited = 0.0
        self._progress = WriteProgress(now)
        self._is_evicted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its class
        """Accept the connection, or answer 503 and close it."""
        super().connection_made(transport)
        admission = self.admission
        self.peer = peer_of_address(self.client[0]) if self.client else ""
        is_accepted = admission.enter(self.client[0] if self.client else None)
        if is_accepted and len(self.connections) > admission.most:
            others = cast(
                "Collection[BoundedConnection]", self.connections
            )  # all of one server, and so of this class
            is_accepted = self.evictor.evict_one(
                self, admission.count_of(self.peer), others, self.loop.time()
            )
        if not is_accepted:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for cycle in self._cycles:  # the base class marks the newest one only
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        self._held.clear()
        self._cycles.clear()
        self.pipeline.clear()
        self.admission.leave(self.client[0] if self.client else None)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, as far as the requests before them allow."""
        self._received = self.loop.time()
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
        """Keep a piece of the URL; of a URL that is too long, only the beginning."""
        self._url_bytes += len(url)
        super().on_url(url[: max(0, MAX_URL_BYTES - len(self.url))])

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not a request, and close the connection; the parser calls this."""
        del msg
        self.transport.write(_NOT_HTTP)
        self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop a trailer."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the application."""
        self._in_headers, self._in_body = False, True
        self._bytes_without_body = 0
        application = self.app
        if self.parser.get_http_version() == "1.0":
            self.app = without_chunks(application)
        if self._url_bytes > MAX_URL_BYTES:
            self.app = answer(_LONG_URL)
        try:
            super().on_headers_complete()
        finally:
            self.app = application
        self._cycles.append(self.cycle)
        if self.parser.should_upgrade():  # the parser ignores bytes behind a request to upgrade
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Count and keep a piece of a body."""
        self._body_bytes += len(body)
        self._bytes_without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a body."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the bytes that the client has sent behind the request."""
        super().on_response_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._answered = self._began = self.loop.time()  # a request behind it has waited until now
        if self.pipeline:
            self.flow.pause_reading()  # the base class has resumed it
        elif self._held:
            self.loop.call_soon(self._parse_held)

    def resume_writing(self) -> None:
        """Note that the client reads its answer."""
        super().resume_writing()
        self._progress.at = self.loop.time()

    def shutdown(self) -> None:
        """Close after the request under way, because the service stops."""
        super().shutdown()
        self._stopping = True

    def close_if_late(self) -> None:
        """Close the connection if its state has lasted too long."""
        now = self.loop.time()
        passed, self._checked = now - self._checked, now
        if self._is_stuck(now):
            self.transport.abort()
        elif not self.transport.is_closing() and self._is_late(now, passed):
            self.transport.close()

    def idle_since(self) -> float | None:
        """Return the monotonic time since which no caller waits for the connection; None while one waits.

        A caller waits until the last byte of its answer has left; the server calls an answer complete as soon
        as it is buffered. A client that has stalled does not count as waiting: in its headers, in a body that
        is too slow, in the rest of a body that is answered already, or in an answer that it does not read.
        """
        if self._is_evicted:
            return None
        now = self.loop.time()
        progress_at = self._progress.note(self.transport, now)
        if self.transport.get_write_buffer_size():  # a closing one too: it closes when all is sent
            return progress_at if now - progress_at > _SLOW_SECONDS else None
        if self.transport.is_closing():
            return None
        if not self._is_answering():
            is_waiting = (self._held or self.pipeline) and not self._in_body
            is_starting = self._in_headers and self._requests and now - self._began <= _HEADERS_SAFE_SECONDS
            return None if is_waiting or is_starting else max(self._began, self._answered)
        is_reading = self._in_body and not self.flow.read_paused
        is_slow = is_reading and self._body_bytes < _BYTES_PER_SECOND * (now - self._began - _SLOW_SECONDS)
        return self._began if is_slow else None

    def evict(self) -> bool:
        """Close for a new connection; return False if a request has just arrived that is not read yet.

        Unsent bytes are dropped: their client has read none for `_SLOW_SECONDS`, and would keep the
        connection open.
        """
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        elif not self._in_body and not self.flow.read_paused and count_unread_bytes(self.transport):
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
            return False  # the service is the slow one
        if self._in_headers:
            return now - self._began > _REQUEST_SECONDS and not self._is_answering()
        if self._in_body and not self.cycle.response_complete:
            self._waited += passed
            silence = _STOPPING_SECONDS if self._stopping else _SILENCE_SECONDS
            longest = _SILENCE_SECONDS + self._body_bytes / _BYTES_PER_SECOND
            return now - self._received > silence or self._waited > longest
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
            self._header_bytes > MAX_HEADER_BYTES
            or (self._in_body and self._bytes_without_body > MAX_HEADER_BYTES)
            or self._framing_bytes > MAX_HEADER_BYTES + self._body_bytes
        ):
            if self._in_headers or not self.cycle.response_started:
                is_long_url = self._in_headers and self._url_bytes > MAX_URL_BYTES
                self.transport.write(closing_answer(_LONG_URL) if is_long_url else _TOO_LARGE)
            self.transport.close()

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.pause_reading()
        if len(self._held) > _MAX_HELD_BYTES:
            self.transport.abort()

    def _parse_held(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        self._parse(held)
        if not self._held and not self.pipeline and not self.transport.is_closing():
            self.flow.resume_reading()


async def close_late(connections: Iterable[Any]) -> None:
    """Close connections of a server that are late, until this task is cancelled."""
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        for one in list(connections):
            if isinstance(one, BoundedConnection):
                one.close_if_late()
