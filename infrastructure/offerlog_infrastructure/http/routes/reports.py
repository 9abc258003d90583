"""Reports, histories and refusals, for analysts and auditors."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.read_models import Order, Proof
from offerlog_application.reading.instants import instant, zone
from offerlog_application.reading.performance_report import ReportTooLargeError
from offerlog_application.reading.read_budget import check_read
from offerlog_domain.identity import parse_action_map_id
from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet
from offerlog_domain.outcomes import Reason
from offerlog_domain.signals import MalformedSignalError
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.access import Reader, Reporter
from offerlog_infrastructure.http.requests.parameters import (
    ActionMapId,
    CustomerId,
    CustomerType,
    HistoryCursor,
    HistoryMoment,
    HistoryVersion,
    Limit,
    calendar_time,
    cursor_of_page,
    moment_of,
    only_maps,
    zone_of_calendar,
)
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.responses.pages import (
    accepts_lines,
    decode_cursor,
    encode_page,
    encoded_response,
    page_response,
    stream_response,
)
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation.documents import (
    describe_action_map,
    describe_event,
    describe_kept_signal,
    describe_proof,
    describe_refusal,
    describe_refusal_counts,
    describe_report_head,
    describe_row,
    tabulate_report,
)

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])

T = TypeVar("T")

REPORT_BYTES: Final = 32 << 20
"""Most bytes of a report, as it is sent."""

_ROWS_AT_ONCE: Final = 100
_Int64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


@router.get(
    "/v1/reports/action-map-performance",
    operation_id="actionMapPerformance",
    summary="Action Map Performance",
    response_model=None,
)
async def action_map_performance(
    request: Request,
    key: Reporter,
    start: Annotated[str | None, calendar_time("from", "The first instant that counts.")] = None,
    end: Annotated[str | None, calendar_time("to", "The first instant that counts no longer.")] = None,
    zone_name: Annotated[str, zone_of_calendar("zone", "Whose days and hours.")] = "UTC",
    by: Granularity = Granularity.TOTAL,
    action_map: Annotated[list[str] | None, only_maps("Only these maps; may be given again.")] = None,
    view: MetricSet = MetricSet.REPORT,
    count_by: CountBy = CountBy.ACTIONS,
    cohort: Cohort = Cohort.EVENT,
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
    proof: Annotated[bool, Query(description="Add up to where it counts, with a digest.")] = False,
) -> Response:
    """Counts of each map's offers that were made, taken and turned down. The ETag changes with the counts."""
    service = state_of(request).service
    as_csv = form == "csv" or (form is None and "text/csv" in request.headers.get("accept", ""))
    counted = await run_report(request, service.proof)
    tag = _entity_tag(counted, key.organization, as_csv=as_csv)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
    if _matches(tag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    report_zone = zone(zone_name)
    query = ReportQuery(
        organization=key.organization,
        start=instant(start, report_zone, "from") if start is not None else None,
        end=instant(end, report_zone, "to") if end is not None else None,
        zone=report_zone,
        by=by,
        action_maps=tuple(_read_action_map(one) for one in action_map or ()),
        view=view,
        count_by=count_by,
        cohort=cohort,
    )
    if query.start is not None and query.end is not None and query.start >= query.end:
        raise malformed("to", "it must be later than from")
    if as_csv:
        headers["Content-Disposition"] = 'attachment; filename="action-map-performance.csv"'
        text = await run_report(request, _encode_csv_report, service, query)
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
    return encoded_response(
        await run_report(request, _encode_json_report, service, query, with_proof=proof), headers
    )


def _encode_json_report(service: Offerlog, query: ReportQuery, *, with_proof: bool) -> bytes:
    report = service.report(query)
    head = encode_escaped(describe_report_head(report))[:-1]
    slices = (encode_escaped([describe_row(row) for row in some])[1:-1] for some in _slices(report.rows))
    rows = b",".join(_bounded(slices, query))
    proof = b',"proof":' + encode_escaped(describe_proof(service.proof())) if with_proof else b""
    return b'%b,"rows":[%b]%b}' % (head, rows, proof)


def _encode_csv_report(service: Offerlog, query: ReportQuery) -> bytes:
    return b"".join(_bounded(map(_encode_csv, _slices(tabulate_report(service.report(query)))), query))


def _encode_csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _bounded(pieces: Iterable[bytes], query: ReportQuery) -> Iterator[bytes]:
    """Yield pieces until they are too long: an answer stays in memory until its client has read it.

    Raises:
        ReportTooLargeError: The pieces exceed `REPORT_BYTES`.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > REPORT_BYTES:
            raise ReportTooLargeError(query, "bytes", REPORT_BYTES)
        yield piece


def _slices(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut rows into slices: encoding all rows in one call would stop every other thread meanwhile."""
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        check_read()
        yield rows[at : at + _ROWS_AT_ONCE]


@router.get("/v1/action-maps", operation_id="actionMaps", summary="List the maps that have been counted")
async def action_maps(
    request: Request,
    key: Reporter,
    cursor: Annotated[str | None, cursor_of_page("action-maps")] = None,
    limit: Limit = 10_000,
) -> Response:
    """A page of ids and display names, sorted by id."""
    found = state_of(request).service.action_maps(
        organization=key.organization,
        behind=str(decode_cursor(cursor, tuple[UUID])[0]) if cursor else None,
    )
    return await page_response(
        request, found, describe_action_map, limit, lambda last: [last["action_map_id"]], "action_maps"
    )


@router.get(
    "/v1/visitors/{customer_id:text}/action-maps/{action_map_id}/history",
    operation_id="history",
    summary="Show one visitor-offer, as it is or was",
)
async def history(
    request: Request,
    key: Reader,
    customer_id: CustomerId,
    action_map_id: ActionMapId,
    customer_id_type: CustomerType = "cookie",
    version: HistoryVersion = None,
    as_of: HistoryMoment = None,
    cursor: HistoryCursor = None,
    limit: Limit = 10_000,
) -> Response:
    """Rebuilt from the log, with its events in pages."""
    if version is not None and as_of is not None:
        raise malformed("as_of", "give version or as_of, not both")
    moment = _read_time(as_of, "as_of") if as_of is not None else None
    skipped = decode_cursor(cursor, tuple[_Int64])[0] if cursor else 0
    text = await run_report(
        request,
        partial(_encode_history_page, state_of(request).service, skipped, limit),
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        action_map_id=action_map_id,
        version=version,
        as_of=moment,
        organization=key.organization,
    )
    return encoded_response(text)


def _encode_history_page(service: Offerlog, skipped: int, limit: int, **asked: Any) -> bytes:
    """Encode the events behind the first `skipped` ones, with state and version of the whole history."""
    found = service.history(**asked)
    events = (describe_event(n, found.events[n - 1]) for n in range(skipped + 1, found.version + 1))
    items, cursor = encode_page(events, lambda event: event, limit, lambda last: [last["version"]])
    state = encode_escaped(found.state)
    head = b'"known":%b,"state":%b,"version":%d' % (encode_escaped(found.known), state, found.version)
    return b'{%b,"events":[%b],"next_cursor":%b}' % (head, items, cursor)


@router.get("/v1/refusals", operation_id="refusals", summary="List the refused signals")
async def refusals(
    request: Request,
    key: Reporter,
    reason: Reason | None = None,
    since: Annotated[str | None, moment_of("Only from then on.")] = None,
    until: Annotated[str | None, moment_of("Only before then.")] = None,
    order: Order = Order.OLDEST,
    cursor: Annotated[str | None, cursor_of_page("refusals")] = None,
    limit: Limit = 1_000,
) -> Response:
    """With the text that came; as NDJSON, the whole list. A cursor is valid in either order."""
    behind = None
    if cursor:
        at, number = decode_cursor(cursor, tuple[str, _Int64])
        behind = _read_time(at, "cursor"), number
    found = state_of(request).service.refusals(
        reason=reason,
        since=_read_time(since, "since") if since is not None else None,
        until=_read_time(until, "until") if until is not None else None,
        order=order,
        organization=key.organization,
        behind=behind,
    )
    if accepts_lines(request):
        return await stream_response(request, found, describe_kept_signal)

    return await page_response(
        request, found, describe_refusal, limit, lambda last: [last["recorded_at"], last["number"]]
    )


@router.get("/v1/refusals/counts", operation_id="refusalCounts", summary="Count the refusals by reason")
async def refusal_counts(
    request: Request,
    key: Reporter,
    since: Annotated[str | None, moment_of("From the quarter-hour on that holds this instant.")] = None,
    until: Annotated[str | None, moment_of("Up to the end of the quarter-hour before it.")] = None,
) -> EscapedJSONResponse:
    """Exact, in whole quarter-hours; `since` and `until` show which. Pruned refusals count too."""
    found = await run_report(
        request,
        state_of(request).service.refusal_counts,
        since=_read_time(since, "since") if since is not None else None,
        until=_read_time(until, "until") if until is not None else None,
        organization=key.organization,
    )
    return EscapedJSONResponse(describe_refusal_counts(found))


def _entity_tag(counted: Proof, organization: str, *, as_csv: bool) -> str:
    """Build the ETag of a report: the proof is of the whole log, so organization and format are in it too."""
    digest = sha256(organization.encode()).hexdigest()[:8]
    return f'W/"{counted.mark}-{digest}-{"csv" if as_csv else "json"}"'


def _matches(tag: str, if_none_match: str) -> bool:
    """Compare by the weak comparison of RFC 9110, section 13.1.2."""
    sent = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in sent or tag.removeprefix("W/") in sent


def _read_action_map(text: str) -> str:
    try:
        return parse_action_map_id(text)
    except MalformedSignalError as error:
        raise malformed("action_map", error.cause) from None


def _read_time(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed(field, f"{text!r} is not a time: give 2026-11-22T10:00:00Z") from None
