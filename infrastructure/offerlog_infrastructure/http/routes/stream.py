"""GET /v1/stream: metric changes as they happen, as Server-Sent Events."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from offerlog_infrastructure.http.requests.access import Reporter, is_still_allowed
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.streams.live_report import LiveReport

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])

STREAM_SECONDS: Final = 3_600.0
"""Seconds after which a stream ends; browsers reconnect by themselves."""

_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks of the key, the session and the stop of the service."""

_PULSE_SECONDS: Final = 15.0
"""Seconds without a change after which a comment is sent, so that no proxy closes the connection."""

_PIECE_BYTES: Final = 64 << 10
"""Bytes after which a piece of an event is sent."""


@router.get("/v1/stream", operation_id="stream", summary="Metric changes as they happen", response_model=None)
async def stream(
    request: Request, key: Reporter, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Events `metrics`: the changed rows of the full report in total.

    The first event has all rows, unless `Last-Event-ID` is the present mark of the report. So a client that
    reconnects is up to date at once.
    """
    live_reports = state_of(request).live_reports
    live = live_reports.listen(key)
    return _EventStream(_events(request, live, last_event_id), lambda: live_reports.leave(key, live))


class _EventStream(StreamingResponse):
    """Streamed answer that leaves its live report, however the answer ends."""

    def __init__(self, events: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _events(request: Request, live: LiveReport, last_mark: str | None) -> AsyncIterator[bytes]:
    stopping = state_of(request).stopping
    ends_at, sent_at, shown_trouble = time.monotonic() + STREAM_SECONDS, time.monotonic(), ""
    sent_change: int | None = None
    yield b"retry: 2000\n\n"
    while not stopping.is_set() and not live.is_over and await is_still_allowed(request):
        if live.number is not None and sent_change != live.number:
            is_up_to_date = sent_change is None and last_mark == live.mark
            rows = [] if is_up_to_date else live.rows_since(sent_change)
            sent_change = live.number
            if rows:
                for piece in _encode_event(live.mark, live.position, rows):
                    yield piece
                sent_at = time.monotonic()
        if live.trouble and live.trouble != shown_trouble:
            yield f": {live.trouble}; changes follow when that is over\n\n".encode()
        shown_trouble = live.trouble
        if time.monotonic() - sent_at > _PULSE_SECONDS:
            yield b": still here\n\n"
            sent_at = time.monotonic()
        if time.monotonic() > ends_at:
            yield b": this stream is an hour old and ends; come again\n\n"
            return
        await live.wait(_CHECK_SECONDS)


def _encode_event(mark: str, position: int, rows: Sequence[bytes]) -> Iterator[bytes]:
    """Encode one event in pieces of bounded size; each is made when the piece before it has been sent."""
    piece = b'event: metrics\nid: %b\ndata: {"position":%d,"rows":[' % (mark.encode(), position)
    for number, row in enumerate(rows):
        piece += b"," + row if number else row
        if len(piece) > _PIECE_BYTES:
            yield piece
            piece = b""
    yield piece + b"]}\n\n"
