"""Whether the service is well: for load balancers, Prometheus and people."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.http.problems import ProblemError, of_store
from offerlog_infrastructure.http.requests.access import Reporter
from offerlog_infrastructure.http.server import metrics_port
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.presentation.documents import status_document

router = APIRouter(tags=["operations"])


async def freshness_of(request: Request) -> dict[str, Any]:
    """Return position and age of what look-ups answer from, and by how many events it is short."""
    return asdict(await state_of(request).operational_reads.freshness.now())


@router.get("/v1/projections", operation_id="projections", summary="How far the projections are")
async def projections(request: Request, key: Reporter) -> dict[str, Any]:
    """Position, lag in events and seconds, and what waits as a dead letter."""
    del key  # of every organization alike: the projections are of all
    found = await state_of(request).operational_reads.statuses.now()
    return {"projections": [status_document(one) | {"short_by": one.short_by} for one in found]}


@router.get("/healthz", operation_id="alive", summary="Is the process alive?")
async def alive() -> dict[str, str]:
    """Whether it answers at all; says nothing of the store."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="ready", summary="Can it serve, and are the projections near?")
async def ready(request: Request) -> Response:
    """503 or 507 while the store fails, a projection lags, the writer is stuck, or the service stops."""
    if state_of(request).stopping.is_set():
        raise ProblemError(503, "unavailable", "the service is stopping")
    writer, most = state_of(request).service.writer_health(), state_of(request).settings.ready_lag
    if not writer.alive:
        raise ProblemError(503, "unavailable", "the writer has ended: restart the service")
    trouble = state_of(request).service.store_trouble()
    # A lock of some seconds is waited for: no reason to send the traffic elsewhere, where it is locked too.
    if trouble is not None and (trouble.trouble is not StoreTrouble.LOCKED or writer.stalled_seconds > most):
        raise of_store(trouble)
    if writer.stalled_seconds > most:
        raise ProblemError(
            503, "unavailable", f"the writer has stood still for {writer.stalled_seconds:,.0f} s"
        )
    found = await state_of(request).operational_reads.statuses.now()
    lag = max((one.lag_seconds if one.lag_seconds is not None else 1e9) for one in found)
    if lag > most:
        raise ProblemError(503, "unavailable", f"the projections are {lag:,.0f} s behind")
    return JSONResponse(
        {
            "status": "ok",
            "lag_seconds": round(lag, 3),
            "waits_for": None if trouble is None else trouble.summary,
        }
    )


@router.get("/metrics", operation_id="metrics", summary="For Prometheus", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Outcomes by reason, commit latency, lag, dead letters, queue depth."""
    if metrics_port.is_hidden(request):
        raise ProblemError(404, "not-found", "the metrics are at a port of their own (--metrics-port)")
    text = await state_of(request).operational_reads.metrics.now()
    return Response(text, media_type=CONTENT_TYPE_LATEST)
