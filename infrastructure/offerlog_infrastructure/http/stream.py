"""GET /v1/stream: metric changes as they happen, as Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from offerlog_application.reports import ReportQuery
from offerlog_domain.metrics import View
from offerlog_infrastructure.documents import report_document
from offerlog_infrastructure.http.access import Reporter
from offerlog_infrastructure.http.escaped import encode_escaped
from offerlog_infrastructure.http.thread_pools import slowly
from offerlog_infrastructure.http.urls import said_plainly

router = APIRouter(tags=["reports"], dependencies=[Depends(said_plainly)])

_LOOK_SECONDS: Final = 0.5
_PULSE_LOOKS: Final = 30
"""After so many looks without news a comment is sent, so that nobody in between ends the connection."""


@router.get("/v1/stream", operation_id="stream", summary="Metric changes as they happen", response_model=None)
async def stream(
    request: Request, key: Reporter, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Events `metrics`: the rows of the full report in total that have changed.

    The first one has all rows, unless `Last-Event-ID` is what the report is still at; whoever comes back
    after a break is thus brought up to date at once.
    """
    return StreamingResponse(
        _events(request, key.organization, last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(request: Request, organization: str, last: str | None) -> AsyncIterator[bytes]:
    service, stopping = request.app.state.service, request.app.state.stopping
    query = ReportQuery(organization, view=View.FULL)
    seen: dict[str, dict[str, Any]] | None = None
    reached, quiet = last, 0
    yield b"retry: 2000\n\n"
    while not stopping.is_set() and not await request.is_disconnected():
        proof = await slowly(request, service.proof)
        if proof.mark != reached:
            made = report_document(await slowly(request, service.report, query))
            rows = {row["action_map_id"]: row for row in made["rows"]}
            changed = [row for map_id, row in rows.items() if seen is None or seen.get(map_id) != row]
            seen, reached = rows, proof.mark
            if changed:
                told = encode_escaped({"position": proof.position, "rows": changed})
                yield b"event: metrics\nid: %b\ndata: %b\n\n" % (proof.mark.encode(), told)
                quiet = 0
        quiet += 1
        if quiet % _PULSE_LOOKS == 0:
            yield b": still here\n\n"
        try:
            await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
        except TimeoutError:
            continue
