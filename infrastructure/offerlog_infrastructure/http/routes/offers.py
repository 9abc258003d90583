"""Offers, and the look-ups of a page before it shows an invitation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from offerlog_application.recording.offers import Eligibility
from offerlog_domain.identity import VisitorKey, parse_visitor_key
from offerlog_infrastructure.http.requests.access import Reader
from offerlog_infrastructure.http.requests.bodies import body_as
from offerlog_infrastructure.http.requests.models import Offer, Visitors
from offerlog_infrastructure.http.requests.offer_callers import OfferMaker, check_page_offer
from offerlog_infrastructure.http.requests.parameters import (
    ActionMapId,
    CustomerId,
    CustomerType,
    Limit,
    cursor_of_page,
)
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.responses.pages import (
    accepts_lines,
    decode_cursor,
    encoded_response,
    page_response,
    stream_response,
)
from offerlog_infrastructure.http.responses.preflight import answer_preflight
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_explanation, run_look_up
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.documents import (
    describe_eligibility,
    describe_offer,
    describe_suppression,
)
from offerlog_infrastructure.presentation.widget_outcomes import describe_offer_to_page

router = APIRouter(tags=["offers"], dependencies=[Depends(check_url)])


@router.post("/v1/offers", operation_id="makeOffer", summary="Ask to make an offer, and record it")
async def make_offer(
    request: Request, caller: OfferMaker, asked: Annotated[Offer, body_as(Offer)]
) -> Response:
    """Decide whether the map may offer to this visitor, and record the offer if so, in one step.

    201: the offer is recorded. 200: the offer is blocked, with the reason. The same `actionId` again gets the
        same decision. A page asks with a visitor token in place of a key, for the visitor of the token; its
        answer has the reason and nothing else of the visitor's past.
    """
    is_page = caller.visitor is not None
    if is_page:
        await check_page_offer(request, caller, asked)
    state = state_of(request)
    pending = state.service.hand_in_offer(**asked.model_dump(), organization=caller.key.organization)
    decision = await state.completions.wait_for(pending)
    answer = describe_offer_to_page(decision) if is_page else describe_offer(decision)
    return encoded_response(encode_escaped(answer), 201 if answer["decision"] == "offered" else 200)


@router.get(
    "/v1/visitors/{customer_id:text}/suppressions",
    operation_id="suppressionsOfVisitor",
    summary="List the maps that must not offer to this visitor",
)
async def suppressions_of_visitor(
    request: Request, key: Reader, customer_id: CustomerId, customer_id_type: CustomerType = "cookie"
) -> Response:
    """For every page view: the offers that the visitor took or turned down, and the freshness of the list."""
    visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
    look_ups = state_of(request).look_ups
    return encoded_response(await look_ups.find(key.organization, visitor, request.is_disconnected))


@router.post(
    "/v1/suppressions:batch",
    operation_id="suppressionsOfVisitors",
    summary="List the maps that must not offer to each of many visitors",
)
async def suppressions_of_visitors(
    request: Request, key: Reader, asked: Annotated[Visitors, body_as(Visitors)]
) -> Response:
    """In one query. The answer has an entry for every visitor of the request, in its order."""
    visitors = [
        parse_visitor_key(customer_id=one.customer_id, customer_id_type=one.customer_id_type)
        for one in asked.visitors
    ]
    state, organization = state_of(request), key.organization

    def read() -> bytes:
        freshness = state.suppression_reads.freshness(organization, visitors)
        found = state.service.suppressions_of(visitors, organization=organization)
        answer: answers.SuppressionsOfMany = {
            **freshness,
            "visitors": [
                {
                    "customer_id": visitor.id,
                    "customer_id_type": visitor.type,
                    "suppressions": [describe_suppression(one) for one in found[visitor]],
                }
                for visitor in visitors
            ],
        }
        return encode_escaped(answer)

    return encoded_response(await run_look_up(request, visitors, read))


@router.get(
    "/v1/visitors/{customer_id:text}/action-maps/{action_map_id}/eligibility",
    operation_id="eligibility",
    summary="Say whether this map may offer to this visitor now, and if not, why",
)
async def eligibility(
    request: Request,
    key: Reader,
    customer_id: CustomerId,
    action_map_id: ActionMapId,
    customer_id_type: CustomerType = "cookie",
) -> EscapedJSONResponse:
    """Read from the log; nothing is recorded."""
    visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
    service = state_of(request).service

    def read() -> Eligibility:
        return service.check_eligibility(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
            organization=key.organization,
        )

    found = await run_explanation(request, visitor, read)
    return EscapedJSONResponse(describe_eligibility(found))


@router.get(
    "/v1/action-maps/{action_map_id}/suppressions",
    operation_id="suppressionsOfActionMap",
    summary="List the visitors to whom this map must not offer",
)
async def suppressions_of_action_map(
    request: Request,
    key: Reader,
    action_map_id: ActionMapId,
    cursor: Annotated[str | None, cursor_of_page("suppressions")] = None,
    limit: Limit = 1_000,
) -> Response:
    """A page, in the order in which the visitors came, slice by slice; as NDJSON, the whole list."""
    found = state_of(request).service.suppressed_visitors(
        action_map_id,
        organization=key.organization,
        behind=decode_cursor(cursor, VisitorKey) if cursor else None,
    )
    if accepts_lines(request):
        return await stream_response(request, found, describe_suppression)
    return await page_response(
        request,
        found,
        describe_suppression,
        limit,
        lambda last: [last["customer_id_type"], last["customer_id"]],
    )


@router.options("/v1/offers", include_in_schema=False)
async def allow_offers() -> Response:
    """Answer a browser's preflight request; the visitor token, sent later, decides about the origin."""
    return answer_preflight("Authorization, Content-Type, Traceparent, Tracestate, X-Request-Id")
