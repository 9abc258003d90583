"""Health of the service, for load balancers, Prometheus and people."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from offerlog_application.ports.shards import ShardProgress
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
    servers = await state_of(request).operational_reads.progress.now()
    for server in servers:
        if server.trouble is not None:  # what it has would be missing
            raise server.trouble
    found = [status for server in servers for status in server.statuses]
    answer: answers.Projections = {"projections": [describe_status(one) for one in found]}
    return EscapedJSONResponse(answer)


@router.get("/healthz", operation_id="alive", summary="Say that the process runs")
async def alive() -> EscapedJSONResponse:
    """An answer shows that the process runs. The store is not asked."""
    answer: answers.Alive = {"status": "ok"}
    return EscapedJSONResponse(answer)


@router.get("/readyz", operation_id="ready", summary="Say whether the service can serve")
async def ready(request: Request) -> Response:
    """503 or 507 while the store fails, a projection lags, the writer is stuck, or the service stops.

    Over several servers, the service is ready as long as one of them can serve. `waits_for` names the others.
    """
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
    lag, names = _look_at_servers(await state.operational_reads.progress.now(), longest)
    answer: answers.Ready = {
        "status": "ok",
        "lag_seconds": round(lag, 3),
        "waits_for": "; ".join([*([] if trouble is None else [trouble.summary]), *names]) or None,
    }
    return JSONResponse(answer)


def _look_at_servers(servers: Sequence[ShardProgress], longest: float) -> tuple[float, Sequence[str]]:
    """Return the lag of the servers that can serve, and what is wrong with the others.

    As long as one of several can serve, the service is ready: a balancer must not take it from all visitors.

    Args:
        servers: The servers.
        longest: The lag up to which a server can serve, in seconds.

    Raises:
        StoreUnavailableError: No server answers.
        ProblemError: 503, those that answer lag.
    """
    lags = {
        server.number: max(
            (one.lag_seconds if one.lag_seconds is not None else 1e9 for one in server.statuses), default=0.0
        )
        for server in servers
        if server.trouble is None
    }
    troubles = [server.trouble for server in servers if server.trouble is not None]
    if not lags:
        raise troubles[0]
    if (least := min(lags.values())) > longest:
        raise ProblemError("unavailable", f"the projections are {least:,.0f} s behind")
    late = [
        f"shard {number}: the projections are {lag:,.0f} s behind"
        for number, lag in lags.items()
        if lag > longest
    ]
    ready = max(lag for lag in lags.values() if lag <= longest)
    return ready, [*(trouble.summary for trouble in troubles), *late]


@router.get("/metrics", operation_id="metrics", summary="For Prometheus", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Outcomes by reason, commit latency, lag, dead letters, length of the queue."""
    if metrics_port.is_hidden(request):
        raise ProblemError("not-found", "the metrics are at a port of their own (--metrics-port)")
    text = await state_of(request).operational_reads.metrics.now()
    return Response(text, media_type=CONTENT_TYPE_LATEST)
