"""Everything that is known of one visitor, for analysts and auditors."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from offerlog_application.reading.timeline import TimelineEntry, TimelinePlace
from offerlog_infrastructure.http.requests.access import Reporter
from offerlog_infrastructure.http.requests.moments import read_asked_moment
from offerlog_infrastructure.http.requests.parameters import (
    AskedCustomerId,
    CustomerType,
    Int64,
    Limit,
    OnlyMap,
    TimelineCursor,
    TimelineMoment,
    read_cursor_moment,
)
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.pages import (
    accepts_lines,
    decode_cursor,
    page_response,
    stream_response,
)
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import note_visitor
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.documents import format_optional_time
from offerlog_infrastructure.presentation.timelines import describe_timeline_entry

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])


@router.get(
    "/v1/timeline",
    operation_id="timeline",
    summary="Show everything that is known of a visitor",
)
async def timeline(
    request: Request,
    key: Reporter,
    customer_id: AskedCustomerId,
    customer_id_type: CustomerType = "cookie",
    action_map_id: OnlyMap = None,
    as_of: TimelineMoment = None,
    cursor: TimelineCursor = None,
    limit: Limit = 1_000,
) -> Response:
    """Every event and every refused signal, in the order of recording; as NDJSON, the whole list."""
    found = state_of(request).service.timeline(
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        action_map_id=action_map_id,
        as_of=read_asked_moment(request, as_of, "as_of"),
        organization=key.organization,
        behind=_decode_place(cursor) if cursor else None,
    )
    note_visitor(request, customer_id, customer_id_type)
    if accepts_lines(request):
        return await stream_response(request, found, describe_timeline_entry)
    places: list[TimelinePlace] = []

    def describe(entry: TimelineEntry) -> answers.TimelineEntry:
        places.append(entry.place)
        return describe_timeline_entry(entry)

    # A page that has a cursor has described one entry more than it shows.
    return await page_response(request, found, describe, limit, lambda _: _encode_place(places[-2]))


def _encode_place(place: TimelinePlace) -> list[Any]:
    return [place.position, format_optional_time(place.refused_at), place.number]


def _decode_place(cursor: str) -> TimelinePlace:
    position, refused_at, number = decode_cursor(cursor, tuple[Int64, str | None, Int64])
    return TimelinePlace(position, None if refused_at is None else read_cursor_moment(refused_at), number)
