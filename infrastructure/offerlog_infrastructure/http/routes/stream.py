"""GET /v1/stream: metric changes as they happen, as Server-Sent Events."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from offerlog_infrastructure.http.requests.access import Reporter, is_still_allowed
from offerlog_infrastructure.http.requests.urls import said_plainly
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.streams.live_reports import LiveReport

router = APIRouter(tags=["reports"], dependencies=[Depends(said_plainly)])

STREAM_SECONDS: Final = 3_600.0
"""How long a stream lasts; browsers come back by themselves."""

_CHECK_SECONDS: Final = 1.0
"""How often a stream looks whether its key and session are still good, and whether the service stops."""

_PULSE_SECONDS: Final = 15.0
"""After so long without news a comment is sent, so that nobody in between ends the connection."""

_PIECE_BYTES: Final = 64 << 10


@router.get("/v1/stream", operation_id="stream", summary="Metric changes as they happen", response_model=None)
async def stream(
    request: Request, key: Reporter, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Events `metrics`: the rows of the full report in total that have changed.

    The first one has all rows, unless `Last-Event-ID` is what the report is still at; whoever comes back
    after a break is thus brought up to date at once.
    """
    live: LiveReport = state_of(request).live_reports.listen(key)
    return _Stream(
        _events(request, live, last_event_id), lambda: state_of(request).live_reports.leave(key, live)
    )


class _Stream(StreamingResponse):
    """An answer that gives its place back, however it ends."""

    def __init__(self, events: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _events(request: Request, live: LiveReport, last: str | None) -> AsyncIterator[bytes]:
    stopping: asyncio.Event = state_of(request).stopping
    ends, pulse, hindrance = time.monotonic() + STREAM_SECONDS, time.monotonic(), ""
    sent: int | None = None
    yield b"retry: 2000\n\n"
    while not stopping.is_set() and not live.is_over and await is_still_allowed(request):
        if live.number is not None and sent != live.number:
            is_known = sent is None and last == live.mark
            rows = [] if is_known else live.rows_since(sent)
            sent = live.number
            if rows:
                for piece in _pieces(live.mark, live.position, rows):
                    yield piece
                pulse = time.monotonic()
        if live.hindrance and live.hindrance != hindrance:
            yield f": {live.hindrance}; changes follow when that is over\n\n".encode()
        hindrance = live.hindrance
        if time.monotonic() - pulse > _PULSE_SECONDS:
            yield b": still here\n\n"
            pulse = time.monotonic()
        if time.monotonic() > ends:
            yield b": this stream is an hour old and ends; come again\n\n"
            return
        await live.wait(_CHECK_SECONDS)


def _pieces(mark: str, position: int, rows: Sequence[bytes]) -> Iterator[bytes]:
    """Make one event in pieces of bounded size: the next one is made when the one before it has been sent."""
    piece = b'event: metrics\nid: %b\ndata: {"position":%d,"rows":[' % (mark.encode(), position)
    for number, row in enumerate(rows):
        piece += b"," + row if number else row
        if len(piece) > _PIECE_BYTES:
            yield piece
            piece = b""
    yield piece + b"]}\n\n"
