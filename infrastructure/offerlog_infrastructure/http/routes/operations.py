"""Health of the service, for load balancers, Prometheus and people."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.http.problems import ProblemError, of_store
from offerlog_infrastructure.http.requests.access import Reporter
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.http.server import metrics_port
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.documents import describe_status

router = APIRouter(tags=["operations"])


@router.get("/v1/projections", operation_id="projections", summary="Show the progress of the projections")
async def projections(request: Request, key: Reporter) -> EscapedJSONResponse:
    """Position, lag in events and seconds, and the number of dead letters."""
    del key  # any organization's: the projections are of all organizations
    found = await state_of(request).operational_reads.statuses.now()
    answer: answers.Projections = {"projections": [describe_status(one) for one in found]}
    return EscapedJSONResponse(answer)


@router.get("/healthz", operation_id="alive", summary="Say that the process runs")
async def alive() -> EscapedJSONResponse:
    """An answer shows that the process runs. The store is not asked."""
    answer: answers.Alive = {"status": "ok"}
    return EscapedJSONResponse(answer)


@router.get("/readyz", operation_id="ready", summary="Say whether the service can serve")
async def ready(request: Request) -> Response:
    """503 or 507 while the store fails, a projection lags, the writer is stuck, or the service stops."""
    state = state_of(request)
    if state.stopping.is_set():
        raise ProblemError("unavailable", "the service is stopping")
    writer, longest = state.service.writer_health(), state.settings.ready_lag
    if not writer.alive:
        raise ProblemError("unavailable", "the writer has ended: restart the service")
    trouble = state.service.store_trouble()
    # The service waits for a lock of some seconds. Another instance would meet the same lock.
    is_lock = trouble is not None and trouble.trouble is StoreTrouble.LOCKED
    if trouble is not None and (not is_lock or writer.stalled_seconds > longest):
        raise of_store(trouble)
    if writer.stalled_seconds > longest:
        raise ProblemError("unavailable", f"the writer has stood still for {writer.stalled_seconds:,.0f} s")
    try:
        found = await state.operational_reads.statuses.now()
    except ShardUnavailableError as error:  # the others are served: a balancer must not take all out
        found, trouble = [], error
    lag = max(((one.lag_seconds if one.lag_seconds is not None else 1e9) for one in found), default=0.0)
    if lag > longest:
        raise ProblemError("unavailable", f"the projections are {lag:,.0f} s behind")
    answer: answers.Ready = {
        "status": "ok",
        "lag_seconds": round(lag, 3),
        "waits_for": None if trouble is None else trouble.summary,
    }
    return JSONResponse(answer)


@router.get("/metrics", operation_id="metrics", summary="For Prometheus", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Outcomes by reason, commit latency, lag, dead letters, length of the queue."""
    if metrics_port.is_hidden(request):
        raise ProblemError("not-found", "the metrics are at a port of their own (--metrics-port)")
    text = await state_of(request).operational_reads.metrics.now()
    return Response(text, media_type=CONTENT_TYPE_LATEST)
