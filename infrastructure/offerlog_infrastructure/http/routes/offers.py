"""Offers and look-ups: what a page asks before it shows an invitation."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from offerlog_domain.identity import parse_visitor_key
from offerlog_infrastructure.http.requests.access import Reader, Writer
from offerlog_infrastructure.http.requests.bodies import body_as
from offerlog_infrastructure.http.requests.parameters import (
    ActionMapId,
    CustomerId,
    CustomerType,
    Limit,
    cursor_of_page,
)
from offerlog_infrastructure.http.requests.urls import said_plainly
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.responses.pages import encoded_answer, page_of, read_cursor, stream_of
from offerlog_infrastructure.http.routes.operations import freshness_of
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_explanation, run_look_up
from offerlog_infrastructure.presentation.documents import (
    eligibility_document,
    offer_document,
    suppression_document,
)

router = APIRouter(tags=["offers"], dependencies=[Depends(said_plainly)])


class OfferRequest(BaseModel):
    """An offer asked for, by the vendor's field names."""

    model_config = ConfigDict(strict=True, extra="forbid")

    customer_id: str = Field(alias="customerId")
    customer_id_type: str = Field(alias="customerIdType", default="cookie")
    action_map_id: str = Field(alias="actionMapId")
    session_id: str = Field(alias="sessionId")
    action_id: str | None = Field(alias="actionId", default=None)
    action_map_version: int | None = Field(alias="actionMapVersion", default=None)
    timeout_seconds: int | None = Field(alias="timeoutSeconds", default=None)


class Visitor(BaseModel):
    """Whom a batch asks about."""

    model_config = ConfigDict(strict=True, extra="forbid")

    customer_id: str = Field(alias="customerId", min_length=1, max_length=256)
    customer_id_type: str = Field(alias="customerIdType", default="cookie", min_length=1, max_length=256)


class Visitors(BaseModel):
    """A batch of them."""

    model_config = ConfigDict(strict=True, extra="forbid")

    visitors: list[Visitor] = Field(max_length=1_000)


@router.post("/v1/offers", operation_id="makeOffer", summary="Ask to make an offer, and record it")
async def make_offer(
    request: Request, key: Writer, asked: Annotated[OfferRequest, body_as(OfferRequest)]
) -> EscapedJSONResponse:
    """Decide whether the map may offer to this visitor and record the offer if so, in one step.

    201: offered. 200: blocked, with the reason. The same `actionId` again gets the same decision.
    """
    future = state_of(request).service.submit_offer(**asked.model_dump(), organization=key.organization)
    decision = await state_of(request).completions.wait_for(future)
    told = offer_document(decision)
    return EscapedJSONResponse(told, 201 if told["decision"] == "offered" else 200)


@router.get(
    "/v1/visitors/{customer_id:text}/suppressions",
    operation_id="suppressionsOfVisitor",
    summary="Which maps must not offer to this visitor?",
)
async def suppressions_of_visitor(
    request: Request, key: Reader, customer_id: CustomerId, customer_id_type: CustomerType = "cookie"
) -> Response:
    """For every page view: what they took or turned down, and how far that is known."""
    parse_visitor_key(customer_id, customer_id_type)
    service = state_of(request).service
    freshness = await freshness_of(request)
    organization = key.organization

    def read() -> bytes:
        found = service.suppressions(customer_id, customer_id_type, organization=organization)
        return encode_escaped({**freshness, "suppressions": [suppression_document(one) for one in found]})

    return encoded_answer(await run_look_up(request, read))


@router.post(
    "/v1/suppressions:batch", operation_id="suppressionsOfVisitors", summary="The same for many visitors"
)
async def suppressions_of_visitors(
    request: Request, key: Reader, asked: Annotated[Visitors, body_as(Visitors)]
) -> Response:
    """In one query; every visitor asked about is answered, in order."""
    freshness = await freshness_of(request)
    pairs = [(one.customer_id_type, one.customer_id) for one in asked.visitors]
    for kind, who in pairs:
        parse_visitor_key(who, kind)
    service, organization = state_of(request).service, key.organization

    def read() -> bytes:
        found = service.suppressions_of(pairs, organization=organization)
        visitors = [
            {
                "customer_id": who,
                "customer_id_type": kind,
                "suppressions": [suppression_document(one) for one in found[kind, who]],
            }
            for kind, who in pairs
        ]
        return encode_escaped({**freshness, "visitors": visitors})

    return encoded_answer(await run_look_up(request, read))


@router.get(
    "/v1/visitors/{customer_id:text}/action-maps/{action_map_id}/eligibility",
    operation_id="eligibility",
    summary="May this map offer to this visitor now, and if not, why?",
)
async def eligibility(
    request: Request,
    key: Reader,
    customer_id: CustomerId,
    action_map_id: ActionMapId,
    customer_id_type: CustomerType = "cookie",
) -> dict[str, Any]:
    """Read from the log; nothing is recorded."""
    found = await run_explanation(
        request,
        state_of(request).service.check_eligibility,
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        action_map_id=action_map_id,
        organization=key.organization,
    )
    return eligibility_document(found)


@router.get(
    "/v1/action-maps/{action_map_id}/suppressions",
    operation_id="suppressionsOfActionMap",
    summary="To whom must this map not offer?",
)
async def suppressions_of_action_map(
    request: Request,
    key: Reader,
    action_map_id: ActionMapId,
    cursor: Annotated[str | None, cursor_of_page("suppressions")] = None,
    limit: Limit = 1_000,
) -> Response:
    """A page sorted by visitor; as NDJSON, all of them."""
    service = state_of(request).service
    found = service.suppressed_visitors(
        action_map_id,
        organization=key.organization,
        behind=read_cursor(cursor, tuple[str, str]) if cursor else None,
    )
    if "application/x-ndjson" in request.headers.get("accept", ""):
        return stream_of(request, found, suppression_document)
    return await page_of(
        request,
        found,
        suppression_document,
        limit,
        lambda last: [last["customer_id_type"], last["customer_id"]],
    )
