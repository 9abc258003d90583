"""GET /v1/stream: metric changes as they happen, as Server-Sent Events."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from offerlog_application.ports.positions import LogPosition
from offerlog_infrastructure.http.requests.access import Reporter, is_still_valid
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.streams.event_stream import (
    CHECK_SECONDS,
    ENDING,
    OPENING,
    EventStream,
    StreamTimes,
    join_parts,
)
from offerlog_infrastructure.http.streams.live_report import LiveReport
from offerlog_infrastructure.presentation.documents import show_position

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])


@router.get("/v1/stream", operation_id="stream", summary="Metric changes as they happen", response_model=None)
async def stream(
    request: Request, key: Reporter, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Events `metrics`: the changed rows of the full report in total.

    The first event has all rows, unless `Last-Event-ID` is the present mark of the report. So a client that
    reconnects is up to date at once. An event `trouble` says why changes do not come for now: `reason`, which
    names missing slices where there are several servers; it is null once they come again.
    """
    live_reports = state_of(request).live_reports
    live = live_reports.listen(key)
    return EventStream(_events(request, live, last_event_id), lambda: live_reports.leave(key, live))


async def _events(request: Request, live: LiveReport, last_mark: str | None) -> AsyncIterator[bytes]:
    stopping = state_of(request).stopping
    times, shown_trouble = StreamTimes(), ""
    sent_change: int | None = None
    yield OPENING
    while not stopping.is_set() and not live.is_over and await is_still_valid(request):
        if live.number is not None and sent_change != live.number:
            is_up_to_date = sent_change is None and last_mark == live.mark
            rows = [] if is_up_to_date else live.rows_since(sent_change)
            sent_change = live.number
            if rows:
                for piece in join_parts(_encode_event(live.mark, live.position, rows)):
                    yield piece
                times.note_sent()
        if live.trouble != shown_trouble:
            shown_trouble = live.trouble
            yield _encode_trouble(shown_trouble)
            times.note_sent()
        if times.is_quiet:
            yield b": still here\n\n"
            times.note_sent()
        if times.is_over:
            yield ENDING
            return
        await live.wait(CHECK_SECONDS)


def _encode_trouble(reason: str) -> bytes:
    """Encode why changes do not come; an empty text for nothing any more."""
    return b"event: trouble\ndata: %b\n\n" % encode_escaped({"reason": reason or None})


def _encode_event(mark: str, position: LogPosition, rows: Sequence[bytes]) -> Iterator[bytes]:
    """Encode one event in parts."""
    shown = encode_escaped(show_position(position))
    yield b'event: metrics\nid: %b\ndata: {"position":%b,"rows":[' % (mark.encode(), shown)
    for number, row in enumerate(rows):
        yield b"," + row if number else row
    yield b"]}\n\n"
