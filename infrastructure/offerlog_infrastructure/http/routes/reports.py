"""Reports, histories and refusals, for analysts and auditors."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.read_models import Order
from offerlog_application.reading.performance_report import ReportRow, ReportTooLargeError
from offerlog_application.reading.read_budget import check_read
from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.export.report_files import FileFormat
from offerlog_infrastructure.export.report_sheets import sheet_of_performance
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.access import Reader, Reporter
from offerlog_infrastructure.http.requests.moments import read_asked_moment
from offerlog_infrastructure.http.requests.parameters import (
    ActionMapId,
    CustomerId,
    CustomerType,
    HistoryCursor,
    HistoryMoment,
    HistoryVersion,
    Int64,
    Limit,
    MapOfRefusals,
    VisitorOfRefusals,
    cursor_of_page,
    moment_of,
    read_cursor_moment,
)
from offerlog_infrastructure.http.requests.report_ranges import (
    AskedMaps,
    AskedMediaType,
    AskedRange,
    find_maps,
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
from offerlog_infrastructure.http.responses.report_files import (
    AskedFormat,
    AskedMark,
    encode_file,
    not_modified,
    report_headers,
    report_response,
    wanted_format,
)
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import note_visitor, run_report
from offerlog_infrastructure.presentation.documents import (
    describe_action_map,
    describe_event,
    describe_kept_signal,
    describe_proof,
    describe_refusal,
    describe_refusal_counts,
    describe_report_head,
    describe_row,
)

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])

REPORT_BYTES: Final = 32 << 20
"""Most bytes of a report, as it is sent."""

_ROWS_AT_ONCE: Final = 100


@router.get(
    "/v1/reports/action-map-performance",
    operation_id="actionMapPerformance",
    summary="Action Map Performance",
    response_model=None,
)
async def action_map_performance(
    request: Request,
    key: Reporter,
    asked: AskedRange,
    by: Granularity = Granularity.TOTAL,
    action_map: AskedMaps = None,
    media_type: AskedMediaType = None,
    view: MetricSet = MetricSet.REPORT,
    count_by: CountBy = CountBy.ACTIONS,
    cohort: Cohort = Cohort.EVENT,
    form: AskedFormat = None,
    mark: AskedMark = False,
    proof: Annotated[bool, Query(description="Add up to where it counts, with a digest.")] = False,
    is_partial: Annotated[
        bool,
        Query(
            alias="partial",
            description="Of several servers, leave out those that cannot be reached; `missing_slices` names"
            " what is missing. In JSON alone, without an ETag; a file stays an error.",
        ),
    ] = False,
) -> Response:
    """Counts of each map's offers that were made, taken and turned down. The ETag changes with the counts."""
    service = state_of(request).service
    file_format = wanted_format(request, form)
    is_partial = is_partial and file_format is None  # a file has no place for what is missing
    if is_partial:
        headers = {"Cache-Control": "no-store"}
    else:
        counted = await run_report(request, service.proofs)
        headers = report_headers(counted, key.organization, file_format, asked.start, asked.end)
        if (unchanged := not_modified(request, headers)) is not None:
            return unchanged
    query = ReportQuery(
        organization=key.organization,
        start=asked.start,
        end=asked.end,
        zone=asked.zone,
        by=by,
        action_maps=await find_maps(request, action_map),
        view=view,
        count_by=count_by,
        cohort=cohort,
        media_type=media_type,
    )
    return await report_response(
        request,
        file_format,
        headers,
        partial(_encode_document, service, query, with_proof=proof, is_partial=is_partial),
        partial(_encode_file, service, query, mark=mark),
    )


def _encode_document(service: Offerlog, query: ReportQuery, *, with_proof: bool, is_partial: bool) -> bytes:
    report = service.report(query, partial=is_partial)
    head = encode_escaped(describe_report_head(report))[:-1]
    slices = (encode_escaped([describe_row(row) for row in some])[1:-1] for some in _slices(report.rows))
    rows = b",".join(_bounded(slices, query))
    proof = b',"proof":' + encode_escaped(describe_proof(service.proof())) if with_proof else b""
    return b'%b,"rows":[%b]%b}' % (head, rows, proof)


def _encode_file(service: Offerlog, query: ReportQuery, form: FileFormat, *, mark: bool) -> tuple[str, bytes]:
    """Encode a report as a file; returns its name, too."""
    sheet = sheet_of_performance(service.report(query))
    return encode_file(sheet, form, mark=mark, bound=partial(_bounded, query=query))


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


def _slices(rows: Sequence[ReportRow]) -> Iterator[Sequence[ReportRow]]:
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
    moment = read_asked_moment(request, as_of, "as_of")
    skipped = decode_cursor(cursor, tuple[Int64])[0] if cursor else 0
    note_visitor(request, customer_id, customer_id_type)
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
    customer_id: VisitorOfRefusals = None,
    customer_id_type: CustomerType = "cookie",
    action_map_id: MapOfRefusals = None,
    cursor: Annotated[str | None, cursor_of_page("refusals")] = None,
    limit: Limit = 1_000,
) -> Response:
    """With the text that came; as NDJSON, the whole list. A cursor is valid in either order."""
    behind = None
    if cursor:
        at, number = decode_cursor(cursor, tuple[str, Int64])
        behind = read_cursor_moment(at), number
    found = state_of(request).service.refusals(
        reason=reason,
        since=read_asked_moment(request, since, "since"),
        until=read_asked_moment(request, until, "until"),
        order=order,
        organization=key.organization,
        behind=behind,
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        action_map_id=action_map_id,
    )
    if customer_id is not None:
        note_visitor(request, customer_id, customer_id_type)
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
        since=read_asked_moment(request, since, "since"),
        until=read_asked_moment(request, until, "until"),
        organization=key.organization,
    )
    return EscapedJSONResponse(describe_refusal_counts(found))
