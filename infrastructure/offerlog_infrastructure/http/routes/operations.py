"""Whether the service is well: for load balancers, Prometheus and people."""

from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.http.metrics import Metrics
from offerlog_infrastructure.http.problems import ProblemError, of_store
from offerlog_infrastructure.http.requests.access import Reporter
from offerlog_infrastructure.http.server import metrics_port
from offerlog_infrastructure.http.threads.shared_reads import SharedRead
from offerlog_infrastructure.presentation.documents import status_document
from offerlog_infrastructure.service import Offerlog

router = APIRouter(tags=["operations"])

_FRESH_SECONDS: Final = 0.1
_METRICS_FRESH_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 7.0
"""Seconds that readiness and metrics wait for a silent store: longer than a read waits for a lock."""


class Operations:
    """What is asked about the service itself: each read by one thread, a few times a second, for all who ask.

    Attributes:
        freshness: How far look-ups go.
        statuses: How far every projection is.
        metrics: The text for Prometheus.
    """

    def __init__(self, service: Offerlog, metrics: Metrics) -> None:
        self.freshness = SharedRead(service.freshness, fresh_seconds=_FRESH_SECONDS)
        self.statuses = SharedRead(
            service.projections, fresh_seconds=_FRESH_SECONDS, patience_seconds=_PATIENCE_SECONDS
        )
        self.metrics = SharedRead(
            metrics.exposition, fresh_seconds=_METRICS_FRESH_SECONDS, patience_seconds=_PATIENCE_SECONDS
        )


async def freshness_of(request: Request) -> dict[str, Any]:
    """Return position and age of what look-ups answer from, and by how many events it is short."""
    return asdict(await request.app.state.operations.freshness.now())


@router.get("/v1/projections", operation_id="projections", summary="How far the projections are")
async def projections(request: Request, key: Reporter) -> dict[str, Any]:
    """Position, lag in events and seconds, and what waits as a dead letter."""
    del key  # of every organization alike: the projections are of all
    found = await request.app.state.operations.statuses.now()
    return {"projections": [status_document(one) | {"short_by": one.short_by} for one in found]}


@router.get("/healthz", operation_id="alive", summary="Is the process alive?")
async def alive() -> dict[str, str]:
    """Whether it answers at all; says nothing of the store."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="ready", summary="Can it serve, and are the projections near?")
async def ready(request: Request) -> Response:
    """503 or 507 while the store fails, a projection lags, the writer is stuck, or the service stops."""
    if request.app.state.stopping.is_set():
        raise ProblemError(503, "unavailable", "the service is stopping")
    writer, most = request.app.state.service.writer_health(), request.app.state.settings.ready_lag
    if not writer.alive:
        raise ProblemError(503, "unavailable", "the writer has ended: restart the service")
    trouble = request.app.state.service.store_trouble()
    # A lock of some seconds is waited for: no reason to send the traffic elsewhere, where it is locked too.
    if trouble is not None and (trouble.trouble is not StoreTrouble.LOCKED or writer.stalled_seconds > most):
        raise of_store(trouble)
    if writer.stalled_seconds > most:
        raise ProblemError(
            503, "unavailable", f"the writer has stood still for {writer.stalled_seconds:,.0f} s"
        )
    found = await request.app.state.operations.statuses.now()
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
    text = await request.app.state.operations.metrics.now()
    return Response(text, media_type=CONTENT_TYPE_LATEST)
