"""Analysts' questions: where offers end, what was blocked, how long steps take, who is behind a number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from offerlog_application.ports.keys import Key
from offerlog_application.ports.offer_reads import ListPlace
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.action_maps import ActionMapsReport
from offerlog_application.reading.analysis import Analysis, BlockedOffers, OfferTimes
from offerlog_application.reading.funnel import Funnel
from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import MediaType
from offerlog_domain.metrics import Cohort, CountBy
from offerlog_infrastructure.export.report_files import FileFormat, Sheet
from offerlog_infrastructure.export.report_sheets import (
    sheet_of_action_maps,
    sheet_of_blocked_offers,
    sheet_of_funnel,
    sheet_of_offer_times,
)
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.access import Reporter
from offerlog_infrastructure.http.requests.parameters import (
    AskedCustomerId,
    CustomerType,
    Int64,
    ShortLimit,
    cursor_of_page,
    read_cursor_moment,
)
from offerlog_infrastructure.http.requests.report_ranges import (
    AskedMaps,
    AskedMediaType,
    AskedRange,
    RangeOfReport,
    find_maps,
)
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.responses.pages import decode_cursor, encode_cursor, encoded_response
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
from offerlog_infrastructure.presentation.action_maps_documents import describe_action_maps_report
from offerlog_infrastructure.presentation.analysis_documents import (
    NUMBERS,
    describe_blocked_offers,
    describe_funnel,
    describe_listed_offer,
    describe_offer_of_visitor,
    describe_offer_times,
)
from offerlog_infrastructure.presentation.documents import show_position

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Report(Generic[T]):
    """A report of analysts: how it is made, and how it is shown."""

    make: Callable[[Analysis, ReportQuery], T]
    describe: Callable[[T], Mapping[str, Any]]
    lay_out: Callable[[T], Sheet]


_FUNNEL: Final[_Report[Funnel]] = _Report(Analysis.funnel, describe_funnel, sheet_of_funnel)
_BLOCKED: Final[_Report[BlockedOffers]] = _Report(
    Analysis.blocked_offers, describe_blocked_offers, sheet_of_blocked_offers
)
_TIMES: Final[_Report[OfferTimes]] = _Report(Analysis.times, describe_offer_times, sheet_of_offer_times)


@dataclass(frozen=True, slots=True)
class _AskedReport:
    """The parameters that the reports of analysts share, and the media type of those that have one."""

    range: RangeOfReport
    action_maps: tuple[str, ...]
    form: str | None
    mark: bool
    media_type: MediaType | None = None


async def _read_report(
    request: Request,
    asked: AskedRange,
    action_map: AskedMaps = None,
    form: AskedFormat = None,
    mark: AskedMark = False,
) -> _AskedReport:
    return _AskedReport(asked, await find_maps(request, action_map), form, mark)


AskedReport = Annotated[_AskedReport, Depends(_read_report)]


async def _read_offer_report(asked: AskedReport, media_type: AskedMediaType = None) -> _AskedReport:
    return replace(asked, media_type=media_type)


AskedOfferReport = Annotated[_AskedReport, Depends(_read_offer_report)]


@router.get(
    "/v1/reports/funnel",
    operation_id="funnel",
    summary="Funnel: how far offers came, and where they ended",
    response_model=None,
)
async def funnel(request: Request, key: Reporter, asked: AskedOfferReport) -> Response:
    """Of the offers made in the range. The ends add up to the offers. The ETag changes every minute."""
    minute = state_of(request).service.analysis.now().replace(second=0, microsecond=0)
    return await _answer(request, _FUNNEL, key, asked, minute)


@router.get(
    "/v1/reports/action-maps",
    operation_id="actionMapsReport",
    summary="Action maps by media type, or by version with a comparison",
    response_model=None,
)
async def action_maps_report(
    request: Request,
    key: Reporter,
    asked: AskedOfferReport,
    count_by: CountBy = CountBy.ACTIONS,
    cohort: Cohort = Cohort.OFFERED,
    by_version: Annotated[
        bool | None,
        Query(
            description="A row for each version of a map, and a comparison with another version."
            " The default is true with `baseline`, else false."
        ),
    ] = None,
    baseline: Annotated[
        int | None,
        Query(
            ge=-(2**63),
            le=2**63 - 1,
            description="Compare each version with this one; without it, with the version before.",
        ),
    ] = None,
) -> Response:
    """Of the offers made in the range. `cohort=event`: each event at its own time, without comparison."""

    def make(analysis: Analysis, query: ReportQuery) -> ActionMapsReport:
        counted = replace(query, count_by=count_by, cohort=cohort)
        try:
            return analysis.action_maps_report(counted, by_version=by_version, baseline=baseline)
        except ArgumentError as error:
            raise malformed(error.argument, str(error)) from None

    report = _Report(make, describe_action_maps_report, sheet_of_action_maps)
    return await _answer(request, report, key, asked)


@router.get(
    "/v1/reports/blocked-offers",
    operation_id="blockedOffers",
    summary="Blocked offers by reason, visitors and sessions",
    response_model=None,
)
async def blocked_offers(request: Request, key: Reporter, asked: AskedOfferReport) -> Response:
    """Offers that the offer rule or the vendor has blocked, each once, by the time of the offer.

    With a media type, offers whose media type is not known are left out.
    """
    return await _answer(request, _BLOCKED, key, asked)


@router.get(
    "/v1/reports/times",
    operation_id="offerTimes",
    summary="Seconds from the offer to each step: median and p90",
    response_model=None,
)
async def times(request: Request, key: Reporter, asked: AskedOfferReport) -> Response:
    """Of the offers made in the range, exactly."""
    return await _answer(request, _TIMES, key, asked)


def _query(
    organization: str, asked: RangeOfReport, maps: tuple[str, ...], media_type: MediaType | None
) -> ReportQuery:
    return ReportQuery(
        organization, asked.start, asked.end, asked.zone, action_maps=maps, media_type=media_type
    )


async def _answer(
    request: Request, report: _Report[T], key: Key, asked: _AskedReport, *resolved: datetime
) -> Response:
    """Answer with a report in the format that the caller wants, unless the caller has it already."""
    service, file_format = state_of(request).service, wanted_format(request, asked.form)
    query = _query(key.organization, asked.range, asked.action_maps, asked.media_type)
    proofs = await run_report(request, lambda: [*service.proofs("current_state"), *service.proofs()])
    headers = report_headers(
        proofs, query.organization, file_format, query.start, query.end, *resolved, maps=query.action_maps
    )
    if (unchanged := not_modified(request, headers)) is not None:
        return unchanged

    def encode_document() -> bytes:
        return encode_escaped(report.describe(report.make(service.analysis, query)))

    def encode(form: FileFormat) -> tuple[str, bytes]:
        return encode_file(report.lay_out(report.make(service.analysis, query)), form, mark=asked.mark)

    return await report_response(request, file_format, headers, encode_document, encode)


@router.get(
    "/v1/reports/action-map-performance/visitor-offers",
    operation_id="offersBehind",
    summary="List the visitor-offers behind a number of a report",
)
async def offers_behind(
    request: Request,
    key: Reporter,
    asked: AskedRange,
    metric: Annotated[
        str,
        Query(
            description="The number: a metric by its state or its name, or an end of the funnel.",
            json_schema_extra={"enum": list(NUMBERS)},
        ),
    ],
    action_map: AskedMaps = None,
    media_type: AskedMediaType = None,
    count_by: CountBy = CountBy.ACTIONS,
    cohort: Cohort = Cohort.EVENT,
    cursor: Annotated[str | None, cursor_of_page("offers")] = None,
    limit: ShortLimit = 100,
) -> Response:
    """Actions with their visitors; with `count_by=visitors`, each visitor of an action map once.

    A page may have fewer than `limit`, where others follow.
    """
    if metric not in NUMBERS:
        raise malformed("metric", f"{metric[:64]!r} is not a number of a report: give {', '.join(NUMBERS)}")
    found = await find_maps(request, action_map)
    query = replace(_query(key.organization, asked, found, media_type), cohort=cohort, count_by=count_by)
    behind = _decode_place(cursor) if cursor else None
    analysis = state_of(request).service.analysis

    def read() -> bytes:
        page = analysis.offers_behind(query, NUMBERS[metric], behind=behind, limit=limit)
        return encode_escaped(
            {
                "count": page.count,
                "position": show_position(page.position),
                "items": [describe_listed_offer(one) for one in page.offers],
                "next_cursor": None if page.behind is None else _encode_place(page.behind),
            }
        )

    try:
        return encoded_response(await run_report(request, read))
    except ArgumentError as error:
        raise malformed(error.argument, str(error)) from None


_Number = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


def _encode_place(place: ListPlace) -> str:
    at = None if place.offered_at is None else place.offered_at.isoformat()
    return encode_cursor([place.action_map_id, place.part, at, str(place.stream), place.number, place.found])


def _decode_place(cursor: str) -> ListPlace:
    action_map, part, at, stream, number, found = decode_cursor(
        cursor, tuple[UUID, _Number, str | None, UUID, _Number, Int64]
    )
    moment = None if at is None else read_cursor_moment(at)
    return ListPlace(str(action_map), part, moment, stream, number, found)


@router.get(
    "/v1/visitor-offers",
    operation_id="offersOfVisitor",
    summary="Show all action maps of a visitor at once",
)
async def offers_of_visitor(
    request: Request,
    key: Reporter,
    customer_id: AskedCustomerId,
    customer_id_type: CustomerType = "cookie",
    cursor: Annotated[str | None, cursor_of_page("visitor-offers")] = None,
    limit: ShortLimit = 1_000,
) -> Response:
    """With the state of each; `known` is false for a visitor of whom nothing is held."""
    behind = str(decode_cursor(cursor, tuple[UUID])[0]) if cursor else None
    analysis = state_of(request).service.analysis

    def read() -> bytes:
        found = analysis.visitor(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            organization=key.organization,
            behind=behind,
            limit=limit + 1,
        )
        shown = found.offers[:limit]
        more = len(found.offers) > limit
        return encode_escaped(
            {
                "customer_id": customer_id,
                "customer_id_type": customer_id_type,
                "known": found.is_known,
                "items": [describe_offer_of_visitor(one) for one in shown],
                "next_cursor": encode_cursor([shown[-1].action_map_id]) if more else None,
            }
        )

    note_visitor(request, customer_id, customer_id_type)
    return encoded_response(await run_report(request, read))
