"""The rights of visitors: erasure, and all that is held. For keys with the role privacy or admin."""

from fastapi import APIRouter, Depends, Request

from offerlog_domain.identity import parse_visitor_key
from offerlog_infrastructure.http.requests.access import PrivacyOfficer
from offerlog_infrastructure.http.requests.parameters import AskedCustomerId, CustomerId, CustomerType
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import note_visitor, run_report
from offerlog_infrastructure.presentation.privacy_documents import describe_erasure, describe_visitor_data

router = APIRouter(tags=["privacy"], dependencies=[Depends(check_url)])

_ERASING_SECONDS = 20.0
"""Seconds to wait at each step of an erasure; the same request again goes on."""


@router.get(
    "/v1/visitors/{customer_id:text}/data",
    operation_id="visitorData",
    summary="Show all that is held of a visitor, with where it lies",
)
async def visitor_data(
    request: Request, key: PrivacyOfficer, customer_id: CustomerId, customer_id_type: CustomerType = "cookie"
) -> EscapedJSONResponse:
    """Everything is decrypted. 404: nothing is held of this visitor."""
    visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
    note_visitor(request, customer_id, customer_id_type)
    held = await run_report(
        request,
        state_of(request).service.visitor_data,
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        organization=key.organization,
    )
    return EscapedJSONResponse(describe_visitor_data(key.organization, visitor, held))


@router.get(
    "/v1/visitor-data",
    operation_id="visitorDataOf",
    summary="Show all that is held of a visitor, with where it lies",
)
async def visitor_data_of(
    request: Request,
    key: PrivacyOfficer,
    customer_id: AskedCustomerId,
    customer_id_type: CustomerType = "cookie",
) -> EscapedJSONResponse:
    """As `visitorData`, for every customer id."""
    return await visitor_data(request, key, customer_id, customer_id_type)


@router.delete(
    "/v1/visitors/{customer_id:visitor}", operation_id="eraseVisitor", summary="Erase a visitor for good"
)
async def erase_visitor(
    request: Request, key: PrivacyOfficer, customer_id: CustomerId, customer_id_type: CustomerType = "cookie"
) -> EscapedJSONResponse:
    """Nothing that identifies the visitor can be read any more; all counts stay. The answer is a receipt.

    404: nothing is held of this visitor. 409: a legal hold forbids it. 503 `erasure-unfinished`: the key is
        destroyed, and the rest takes longer; send the same request again.
    """
    note_visitor(request, customer_id, customer_id_type)
    erasure = await run_report(
        request,
        state_of(request).service.erase,
        customer_id=customer_id,
        customer_id_type=customer_id_type,
        organization=key.organization,
        timeout=_ERASING_SECONDS,
    )
    return EscapedJSONResponse(describe_erasure(erasure))


@router.delete("/v1/visitors", operation_id="eraseVisitorOf", summary="Erase a visitor for good")
async def erase_visitor_of(
    request: Request,
    key: PrivacyOfficer,
    customer_id: AskedCustomerId,
    customer_id_type: CustomerType = "cookie",
) -> EscapedJSONResponse:
    """As `eraseVisitor`, for every customer id."""
    return await erase_visitor(request, key, customer_id, customer_id_type)
