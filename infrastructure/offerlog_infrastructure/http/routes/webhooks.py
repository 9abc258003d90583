"""The webhooks of an organization, for keys with the role admin; with the words of `offerlog webhooks`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, ParamSpec, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request

from offerlog_application.reading.map_names import UnknownActionMapError
from offerlog_application.webhooks.webhooks import KEEP_FORMER_SECRET
from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.durations import read_period
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.administrators import Administrator
from offerlog_infrastructure.http.requests.bodies import body_as
from offerlog_infrastructure.http.requests.feed_parameters import read_cursor
from offerlog_infrastructure.http.requests.models import NewWebhook
from offerlog_infrastructure.http.requests.report_ranges import find_maps
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.webhook_documents import (
    describe_attempt,
    describe_delivery,
    describe_new_webhook,
    describe_watched_webhook,
    describe_webhook,
    describe_webhook_lag,
)

P = ParamSpec("P")
T = TypeVar("T")

router = APIRouter(tags=["webhooks"], dependencies=[Depends(check_url)])

WebhookId = Annotated[str, Path(description="Id of the webhook.", pattern="^wh_[0-9a-f]{16}$")]

_MAX_POSITION: Final = 2**53 - 1


@router.get("/v1/webhooks", operation_id="listWebhooks", summary="List the webhooks of the organization")
async def list_webhooks(request: Request, key: Administrator) -> EscapedJSONResponse:
    """In the order in which they were made, with lag and counts; without secrets."""
    found = await _run(request, state_of(request).service.webhooks.all, organization=key.organization)
    answer: answers.Webhooks = {"webhooks": [describe_webhook_lag(one) for one in found]}
    return EscapedJSONResponse(answer)


@router.post("/v1/webhooks", operation_id="createWebhook", summary="Make a webhook, and show its secret once")
async def create_webhook(
    request: Request, key: Administrator, asked: Annotated[NewWebhook, body_as(NewWebhook)]
) -> EscapedJSONResponse:
    """The service sends the events of the caller's organization to the address, signed with the secret.

    201: the webhook is made. If the answer is lost, delete the webhook and make another one. 409
    `too-many-webhooks`: the organization has as many as it may have.
    """
    try:
        action_maps = await find_maps(request, asked.action_maps)
    except UnknownActionMapError as error:
        raise malformed("action_maps", str(error)) from None
    made = await _run(
        request,
        state_of(request).service.webhooks.create,
        asked.url,
        types=asked.types,
        action_maps=action_maps,
        after=None if asked.after is None else read_cursor(str(asked.after), "after"),
        organization=key.organization,
    )
    return EscapedJSONResponse(describe_new_webhook(made), 201)


@router.get("/v1/webhooks/{webhook_id}", operation_id="showWebhook", summary="Show a webhook")
async def show_webhook(request: Request, key: Administrator, webhook_id: WebhookId) -> EscapedJSONResponse:
    """With its lag, the events that wait for another attempt, and those that were given up.

    404: the organization does not have a webhook with that id.
    """
    webhooks = state_of(request).service.webhooks
    found = await _run(request, webhooks.watch, webhook_id, organization=key.organization)
    return EscapedJSONResponse(describe_watched_webhook(found))


@router.delete("/v1/webhooks/{webhook_id}", operation_id="deleteWebhook", summary="Delete a webhook")
async def delete_webhook(request: Request, key: Administrator, webhook_id: WebhookId) -> EscapedJSONResponse:
    """With its secrets, all that waits for it, and its dead letters.

    404: the organization does not have a webhook with that id.
    """
    webhooks = state_of(request).service.webhooks
    await _run(request, webhooks.delete, webhook_id, organization=key.organization)
    answer: answers.DeletedWebhook = {"deleted": webhook_id}
    return EscapedJSONResponse(answer)


@router.post(
    "/v1/webhooks/{webhook_id}/test", operation_id="testWebhook", summary="Send a test message to a webhook"
)
async def send_test(request: Request, key: Administrator, webhook_id: WebhookId) -> EscapedJSONResponse:
    """Now, also if the webhook is disabled; the answer has the result. It takes up to 20 seconds.

    404: the organization does not have a webhook with that id. 429: another test of the organization is not
    over.
    """
    state = state_of(request)
    try:
        if state.webhook_tests.enter(key.organization) > 1:
            raise ProblemError(
                "rate-limited", "another test of this organization is not over", headers={"Retry-After": "20"}
            )
        result = await _run(request, state.service.webhooks.test, webhook_id, organization=key.organization)
    finally:
        state.webhook_tests.leave(key.organization)
    return EscapedJSONResponse(describe_attempt(result))


@router.post(
    "/v1/webhooks/{webhook_id}/disable",
    operation_id="disableWebhook",
    summary="Disable a webhook",
)
async def disable_webhook(request: Request, key: Administrator, webhook_id: WebhookId) -> EscapedJSONResponse:
    """Nothing more is sent to it. Its cursor stays, so no event is missing once it is enabled again.

    404: the organization does not have a webhook with that id.
    """
    webhooks = state_of(request).service.webhooks
    found = await _run(request, webhooks.disable, webhook_id, organization=key.organization)
    return EscapedJSONResponse(describe_webhook(found))


@router.post(
    "/v1/webhooks/{webhook_id}/enable", operation_id="enableWebhook", summary="Send to a webhook again"
)
async def enable_webhook(
    request: Request,
    key: Administrator,
    webhook_id: WebhookId,
    skip: Annotated[
        bool, Query(description="Leave out what was recorded up to now, and what waits; dead letters stay.")
    ] = False,
) -> EscapedJSONResponse:
    """From where it was disabled.

    404: the organization does not have a webhook with that id.
    """
    webhooks = state_of(request).service.webhooks
    found = await _run(request, webhooks.enable, webhook_id, skip=skip, organization=key.organization)
    return EscapedJSONResponse(describe_webhook(found))


@router.post(
    "/v1/webhooks/{webhook_id}/rotate",
    operation_id="rotateWebhook",
    summary="Give a webhook another secret, and show it once",
)
async def rotate_webhook(
    request: Request,
    key: Administrator,
    webhook_id: WebhookId,
    keep: Annotated[
        str,
        Query(
            description="The former secret signs for so long, too: up to 30 days, such as `12h` or `7d`.",
            json_schema_extra={"format": "period"},
        ),
    ] = f"{KEEP_FORMER_SECRET // timedelta(hours=1)}h",
) -> EscapedJSONResponse:
    """If the answer is lost, rotate again.

    404: the organization does not have a webhook with that id.
    """
    try:
        period = read_period(keep)
    except ValueError as error:
        raise malformed("keep", str(error)) from None
    assert isinstance(period, timedelta)  # noqa: S101 - of a text, it is one
    webhooks = state_of(request).service.webhooks
    made = await _run(request, webhooks.rotate, webhook_id, keep=period, organization=key.organization)
    return EscapedJSONResponse(describe_new_webhook(made))


@router.get(
    "/v1/webhooks/{webhook_id}/dead-letters",
    operation_id="deadLettersOfWebhook",
    summary="List the events that were given up for a webhook",
)
async def dead_letters(request: Request, key: Administrator, webhook_id: WebhookId) -> EscapedJSONResponse:
    """By position, up to 1,000.

    404: the organization does not have a webhook with that id.
    """
    webhooks = state_of(request).service.webhooks
    found = await _run(request, webhooks.dead_letters, webhook_id, organization=key.organization)
    answer: answers.DeadLetters = {"dead_letters": [describe_delivery(one) for one in found]}
    return EscapedJSONResponse(answer)


@router.post(
    "/v1/webhooks/{webhook_id}/send-again",
    operation_id="sendAgain",
    summary="Try dead letters of a webhook again",
)
async def send_again(
    request: Request,
    key: Administrator,
    webhook_id: WebhookId,
    position: Annotated[
        int | None,
        Query(ge=1, le=_MAX_POSITION, description="The `id` of one event; without it, all dead letters."),
    ] = None,
) -> EscapedJSONResponse:
    """They come behind events that were recorded later: `sequence` in an event is its place.

    404: the organization does not have a webhook with that id, or the webhook has no dead letter at that
    position.
    """
    webhooks = state_of(request).service.webhooks
    try:
        number = await run_report(
            request, webhooks.send_again, webhook_id, position, organization=key.organization
        )
    except ArgumentError as error:
        raise ProblemError("not-found", _cause(error), field=error.argument) from None
    answer: answers.WaitingAgain = {"webhook": webhook_id, "waiting": number}
    return EscapedJSONResponse(answer)


async def _run(request: Request, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Run a call on the threads for reports; an argument that it refuses is a malformed request.

    Raises:
        ProblemError: 400, with the field at fault.
    """
    try:
        return await run_report(request, call, *args, **named)
    except ArgumentError as error:
        raise malformed(error.argument, _cause(error)) from None


def _cause(error: ArgumentError) -> str:
    return str(error).removeprefix(f"{error.argument}: ")
