"""The visitors with the newest activity, for analysts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from offerlog_application.ports.positions import parse_position
from offerlog_application.ports.recent_visitors import VisitorsPlace
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.access import Reporter
from offerlog_infrastructure.http.requests.parameters import Int64, ShortLimit, cursor_of_page
from offerlog_infrastructure.http.requests.report_ranges import AskedMediaType
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.responses.pages import decode_cursor, encode_cursor, encoded_response
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation.analysis_documents import describe_recent_visitor
from offerlog_infrastructure.presentation.documents import show_position

router = APIRouter(tags=["reports"], dependencies=[Depends(check_url)])


@router.get(
    "/v1/visitors",
    operation_id="recentVisitors",
    summary="List the visitors with the newest activity",
)
async def recent_visitors(
    request: Request,
    key: Reporter,
    cursor: Annotated[str | None, cursor_of_page("visitors")] = None,
    limit: ShortLimit = 100,
    media_type: AskedMediaType = None,
) -> Response:
    """Each visitor once, with the newest event. A page may have fewer than `limit`, where others follow.

    With `media_type`, those who were made an offer of this type; the newest event may be of another.
    """
    behind = _decode_place(cursor) if cursor else None
    analysis = state_of(request).service.analysis

    def read() -> bytes:
        page = analysis.recent_visitors(
            organization=key.organization, behind=behind, limit=limit, media_type=media_type
        )
        names = analysis.map_names(
            [one.action_map_id for one in page.visitors], organization=key.organization
        )
        return encode_escaped(
            {
                "position": show_position(page.position),
                "items": [describe_recent_visitor(one, names) for one in page.visitors],
                "next_cursor": None if page.behind is None else _encode_place(page.behind),
            }
        )

    return encoded_response(await run_report(request, read))


def _encode_place(place: VisitorsPlace) -> str:
    return encode_cursor([show_position(one) for one in place])


def _decode_place(cursor: str) -> VisitorsPlace:
    parts = decode_cursor(cursor, tuple[Int64 | str, Int64 | str])
    up_to, top = (one if isinstance(one, int) else parse_position(one) for one in parts)
    if up_to is None or top is None:
        raise malformed("cursor", "it is not one of this list's")
    return VisitorsPlace(up_to, top)
