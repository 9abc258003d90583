"""Connections that cost nobody else anything: bounded headers, and an end to silence."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADER_BYTES: Final = 64 << 10
_REQUEST_SECONDS: Final = 20.0
"""How long a request's first line and headers may take to come."""

_SILENCE_SECONDS: Final = 60.0
"""How long nothing may come of a body that is waited for."""

_PARTING_SECONDS: Final = 3.0
"""As much, once the service is told to stop."""

_LOOK_SECONDS: Final = 1.0
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedConnection(HttpToolsProtocol):
    """The server's connection, which by itself takes headers of any size and waits for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = True
        self._header_bytes = 0
        self._stopping = False
        self._began = self._heard = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what came; break off what has become too much."""
        self._heard = self.loop.time()
        super().data_received(data)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0
        self._began = self._heard

    def on_headers_complete(self) -> None:
        """Its headers have come."""
        self._in_headers = False
        super().on_headers_complete()

    def shutdown(self) -> None:
        """The service is told to stop."""
        super().shutdown()
        self._stopping = True

    def end_if_silent(self) -> None:
        """Close it if what is waited for has not come in time."""
        now = self.loop.time()
        cycle = self.cycle
        if self._in_headers:
            late = now - self._began > _REQUEST_SECONDS
        else:
            waits = cycle.more_body and not cycle.response_complete
            patience = _PARTING_SECONDS if self._stopping else _SILENCE_SECONDS
            late = waits and not self.flow.read_paused and now - self._heard > patience
        if late and not self.transport.is_closing():
            self.transport.close()


async def end_silent(connections: Iterable[Any]) -> None:
    """Look after these connections until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for one in list(connections):
            if isinstance(one, BoundedConnection):
                one.end_if_silent()
