"""Named subscriptions to the feed: cursors that the service keeps."""

from fastapi import APIRouter, Depends, Request

from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.subscriptions import check_subscription_name
from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.access import EventReader
from offerlog_infrastructure.http.requests.feed_parameters import (
    LATEST,
    AcknowledgedCursor,
    SubscriptionName,
    read_cursor,
)
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_feed
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.feed_documents import describe_subscription

router = APIRouter(tags=["events"], dependencies=[Depends(check_url)])


@router.put(
    "/v1/subscriptions/{name}/cursor",
    operation_id="acknowledgeEvents",
    summary="Make a subscription, or move its cursor forward",
)
async def acknowledge_events(
    request: Request, key: EventReader, name: SubscriptionName, last_event_id: AcknowledgedCursor = None
) -> EscapedJSONResponse:
    """The subscription as it is now. A lower cursor than its own changes nothing."""
    service = state_of(request).service
    try:
        check_subscription_name(name)
    except ArgumentError as error:
        raise malformed("name", str(error)) from None
    position: LogPosition
    if last_event_id == LATEST:
        position = await run_feed(request, service.feed.end)
    else:
        position = 0 if last_event_id is None else read_cursor(last_event_id)
    found = await run_feed(
        request, service.subscriptions.acknowledge, name, position, organization=key.organization
    )
    return EscapedJSONResponse(describe_subscription(found))


@router.get("/v1/subscriptions", operation_id="subscriptions", summary="List the subscriptions to the feed")
async def subscriptions(request: Request, key: EventReader) -> EscapedJSONResponse:
    """Cursor and lag of each, sorted by name."""
    found = await run_feed(
        request, state_of(request).service.subscriptions.all, organization=key.organization
    )
    answer: answers.Subscriptions = {"subscriptions": [describe_subscription(one) for one in found]}
    return EscapedJSONResponse(answer)


@router.delete("/v1/subscriptions/{name}", operation_id="deleteSubscription", summary="Delete a subscription")
async def delete_subscription(
    request: Request, key: EventReader, name: SubscriptionName
) -> EscapedJSONResponse:
    """The name. 404: there is none of that name."""
    await run_feed(
        request, state_of(request).service.subscriptions.delete, name, organization=key.organization
    )
    answer: answers.DeletedSubscription = {"deleted": name}
    return EscapedJSONResponse(answer)
