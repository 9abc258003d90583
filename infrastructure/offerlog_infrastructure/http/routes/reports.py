"""Reports, histories, refusals: what analysts and auditors read."""

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
from offerlog_application.reading.calendar import Granularity, instant, zone
from offerlog_application.reading.performance_report import ReportQuery, ReportTooLargeError
from offerlog_application.reading.read_budget import check_read
from offerlog_application.reading.read_models import Order, Proof
from offerlog_domain.metrics import Cohort, CountBy, MetricSet
from offerlog_domain.outcomes import Reason
from offerlog_domain.signals import MalformedSignalError
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.access import Reader, Reporter
from offerlog_infrastructure.http.requests.parameters import (
    ActionMapId,
    CustomerId,
    CustomerType,
    Limit,
    calendar_time,
    cursor_of_page,
    moment_of,
    only_maps,
    zone_of_calendar,
)
from offerlog_infrastructure.http.requests.urls import said_plainly
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.responses.pages import (
    encode_page,
    encoded_answer,
    page_of,
    read_cursor,
    stream_of,
)
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation.documents import (
    event_document,
    kept_document,
    proof_document,
    refusal_counts_document,
    report_document,
    report_table,
)

router = APIRouter(tags=["reports"], dependencies=[Depends(said_plainly)])

T = TypeVar("T")

REPORT_BYTES: Final = 32 << 20
"""The longest report, as it is sent."""

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
    """How often each map's offer was made, taken and turned down. The ETag changes with what is counted."""
    service = state_of(request).service
    as_csv = form == "csv" or (form is None and "text/csv" in request.headers.get("accept", ""))
    reached = await run_report(request, service.proof)
    tag = _tag(reached, key.organization, as_csv=as_csv)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
    if _is_at_hand(tag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    where = zone(zone_name)
    query = ReportQuery(
        organization=key.organization,
        start=instant(start, where, "from") if start is not None else None,
        end=instant(end, where, "to") if end is not None else None,
        zone=where,
        by=by,
        action_maps=tuple(_map(one) for one in action_map or ()),
        view=view,
        count_by=count_by,
        cohort=cohort,
    )
    if query.start is not None and query.end is not None and query.start >= query.end:
        raise malformed("to", "it must be later than from")
    if as_csv:
        headers["Content-Disposition"] = 'attachment; filename="action-map-performance.csv"'
        text = await run_report(request, _report_as_csv, service, query)
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
    return encoded_answer(
        await run_report(request, _report_as_json, service, query, with_proof=proof), headers
    )


def _report_as_json(service: Offerlog, query: ReportQuery, *, with_proof: bool) -> bytes:
    document = report_document(service.report(query))
    slices = (encode_escaped(some)[1:-1] for some in _slices(document.pop("rows")))
    rows = b",".join(_bounded(slices, query))
    proof = b',"proof":' + encode_escaped(proof_document(service.proof())) if with_proof else b""
    return b'%b,"rows":[%b]%b}' % (encode_escaped(document)[:-1], rows, proof)


def _report_as_csv(service: Offerlog, query: ReportQuery) -> bytes:
    return b"".join(_bounded(map(_csv_of, _slices(report_table(service.report(query)))), query))


def _csv_of(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _bounded(pieces: Iterable[bytes], query: ReportQuery) -> Iterator[bytes]:
    """Pass pieces on until they are too long: an answer lies in memory until its client has read it.

    Raises:
        ReportTooLargeError: They come to more than `REPORT_BYTES`.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > REPORT_BYTES:
            raise ReportTooLargeError(query, "bytes", REPORT_BYTES)
        yield piece


def _slices(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut rows into slices: to encode all of them in one call would stop every other thread meanwhile."""
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        check_read()
        yield rows[at : at + _ROWS_AT_ONCE]


@router.get(
    "/v1/action-maps", operation_id="actionMaps", summary="The maps that have been counted, with names"
)
async def action_maps(
    request: Request,
    key: Reporter,
    cursor: Annotated[str | None, cursor_of_page("action-maps")] = None,
    limit: Limit = 10_000,
) -> Response:
    """A page sorted by id."""
    return await page_of(
        request,
        state_of(request).service.action_maps(
            organization=key.organization, behind=str(read_cursor(cursor, tuple[UUID])[0]) if cursor else None
        ),
        lambda one: {"action_map_id": one[0], "action_map_name": one[1]},
        limit,
        lambda last: [last["action_map_id"]],
        "action_maps",
    )


@router.get(
    "/v1/visitors/{customer_id:text}/action-maps/{action_map_id}/history",
    operation_id="history",
    summary="One visitor-offer, as it is or was",
)
async def history(
    request: Request,
    key: Reader,
    customer_id: CustomerId,
    action_map_id: ActionMapId,
    customer_id_type: CustomerType = "cookie",
    version: Annotated[
        int | None, Query(ge=0, lt=2**63, description="As it was after so many events.")
    ] = None,
    as_of: Annotated[str | None, moment_of("As it was recorded by then; not with `version`.")] = None,
    cursor: Annotated[str | None, cursor_of_page("history")] = None,
    limit: Limit = 10_000,
) -> Response:
    """Rebuilt from the log; its events in pages."""
    if version is not None and as_of is not None:
        raise malformed("as_of", "give version or as_of, not both")
    moment = _moment(as_of, "as_of") if as_of is not None else None
    shown = read_cursor(cursor, tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]])[0] if cursor else 0
    page = partial(_history_page, state_of(request).service, shown, limit)
    text = await run_report(
        request,
        page,
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        action_map_id=action_map_id,
        version=version,
        as_of=moment,
        organization=key.organization,
    )
    return encoded_answer(text)


def _history_page(service: Offerlog, shown: int, limit: int, **asked: Any) -> bytes:
    """The events behind the first `shown` ones, and the whole's state and version."""
    found = service.history(**asked)
    events = (event_document(n, found.events[n - 1]) for n in range(shown + 1, found.version + 1))
    items, more = encode_page(events, lambda one: one, limit, lambda last: [last["version"]])
    state = encode_escaped(found.state)
    head = b'"known":%b,"state":%b,"version":%d' % (encode_escaped(found.known), state, found.version)
    return b'{%b,"events":[%b],"next_cursor":%b}' % (head, items, more)


@router.get("/v1/refusals", operation_id="refusals", summary="The refused signals")
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
    """With the text that came; as NDJSON, all of them. A cursor goes on in either order."""
    behind = None
    if cursor:
        at, number = read_cursor(cursor, tuple[str, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]])
        behind = _moment(at, "cursor"), number
    found = state_of(request).service.refusals(
        reason=reason,
        since=_moment(since, "since") if since is not None else None,
        until=_moment(until, "until") if until is not None else None,
        order=order,
        organization=key.organization,
        behind=behind,
    )
    if "application/x-ndjson" in request.headers.get("accept", ""):
        return stream_of(request, found, kept_document)

    def told(one: Any) -> dict[str, Any]:
        return kept_document(one) | {"number": one.number}

    return await page_of(request, found, told, limit, lambda last: [last["recorded_at"], last["number"]])


@router.get("/v1/refusals/counts", operation_id="refusalCounts", summary="Number of refusals by reason")
async def refusal_counts(
    request: Request,
    key: Reporter,
    since: Annotated[str | None, moment_of("From the quarter-hour on that holds this instant.")] = None,
    until: Annotated[str | None, moment_of("Up to the end of the quarter-hour before it.")] = None,
) -> dict[str, Any]:
    """Exact, in whole quarter-hours, which the answer's `since` and `until` show; survives retention."""
    found = await run_report(
        request,
        state_of(request).service.refusal_counts,
        since=_moment(since, "since") if since is not None else None,
        until=_moment(until, "until") if until is not None else None,
        organization=key.organization,
    )
    return refusal_counts_document(found)


def _tag(reached: Proof, organization: str, *, as_csv: bool) -> str:
    """What is counted is the whole log's: one browser may ask for two organizations, and in two forms."""
    whose = sha256(organization.encode()).hexdigest()[:8]
    return f'W/"{reached.mark}-{whose}-{"csv" if as_csv else "json"}"'


def _is_at_hand(tag: str, if_none_match: str) -> bool:
    """By the weak comparison of RFC 9110, 13.1.2."""
    given = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in given or tag.removeprefix("W/") in given


def _map(text: str) -> str:
    try:
        return Offerlog.action_map(text)
    except MalformedSignalError as error:
        raise malformed("action_map", error.cause) from None


def _moment(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed(field, f"{text!r} is not a time: give 2026-11-22T10:00:00Z") from None
