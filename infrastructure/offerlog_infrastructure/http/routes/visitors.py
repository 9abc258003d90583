"""Look-ups that name the visitor in the query, which can hold any customer id, `.` and `..` too.

Browsers, curl and proxies remove the segments `.` and `..` from a path before they send it, even if they are
percent-encoded (https://url.spec.whatwg.org/#double-dot-path-segment). They do not change a query.
"""

from fastapi import APIRouter, Depends, Request, Response

from offerlog_infrastructure.http.requests.access import Reader
from offerlog_infrastructure.http.requests.parameters import (
    AskedActionMapId,
    AskedCustomerId,
    CustomerType,
    HistoryCursor,
    HistoryMoment,
    HistoryVersion,
    Limit,
)
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.routes import offers, reports

router = APIRouter(tags=["offers"], dependencies=[Depends(check_url)])


@router.get(
    "/v1/suppressions", operation_id="suppressions", summary="List the maps that must not offer to a visitor"
)
async def suppressions(
    request: Request, key: Reader, customer_id: AskedCustomerId, customer_id_type: CustomerType = "cookie"
) -> Response:
    """As `suppressionsOfVisitor`, for every customer id."""
    return await offers.suppressions_of_visitor(request, key, customer_id, customer_id_type)


@router.get(
    "/v1/eligibility",
    operation_id="eligibilityOf",
    summary="Say whether a map may offer to a visitor now, and if not, why",
)
async def eligibility(
    request: Request,
    key: Reader,
    customer_id: AskedCustomerId,
    action_map_id: AskedActionMapId,
    customer_id_type: CustomerType = "cookie",
) -> Response:
    """As `eligibility`, for every customer id."""
    return await offers.eligibility(request, key, customer_id, action_map_id, customer_id_type)


@router.get(
    "/v1/history", operation_id="historyOf", summary="Show a visitor-offer, as it is or was", tags=["reports"]
)
async def history(
    request: Request,
    key: Reader,
    customer_id: AskedCustomerId,
    action_map_id: AskedActionMapId,
    customer_id_type: CustomerType = "cookie",
    version: HistoryVersion = None,
    as_of: HistoryMoment = None,
    cursor: HistoryCursor = None,
    limit: Limit = 10_000,
) -> Response:
    """As `history`, for every customer id."""
    return await reports.history(
        request,
        key,
        customer_id,
        action_map_id,
        customer_id_type,
        version=version,
        as_of=as_of,
        cursor=cursor,
        limit=limit,
    )
