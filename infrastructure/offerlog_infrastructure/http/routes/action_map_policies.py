"""The policies of action maps, for keys with the role admin."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from offerlog_domain.errors import ArgumentError
from offerlog_domain.identity import parse_action_map_id
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.administrators import Administrator
from offerlog_infrastructure.http.requests.bodies import body_as
from offerlog_infrastructure.http.requests.models import NewPolicy
from offerlog_infrastructure.http.requests.parameters import ActionMapId
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation.policy_documents import describe_policy
from offerlog_infrastructure.suppression_times import read_suppression_times

router = APIRouter(tags=["policies"], dependencies=[Depends(check_url)])


@router.put(
    "/v1/action-maps/{action_map_id}/policy",
    operation_id="setPolicyOfActionMap",
    summary="Set the policy of an action map",
)
async def set_policy(
    request: Request,
    key: Administrator,
    action_map_id: ActionMapId,
    asked: Annotated[NewPolicy, body_as(NewPolicy)],
) -> EscapedJSONResponse:
    """In place of the one before; the same again changes nothing. Later requests obey it, in every process.

    It holds for earlier suppressions, too: a visitor whose cool-down is over may get a new offer at once.
    """
    try:
        await run_report(
            request,
            state_of(request).service.policies.set,
            action_map_id,
            read_suppression_times(asked.suppress_for),
            set_by=f"key {key.id}",
            organization=key.organization,
        )
    except ArgumentError as error:
        raise malformed(error.argument, str(error)) from None
    return await _describe(request, key.organization, action_map_id)


@router.get(
    "/v1/action-maps/{action_map_id}/policy",
    operation_id="policyOfActionMap",
    summary="Show the policy of an action map",
)
async def show_policy(
    request: Request, key: Administrator, action_map_id: ActionMapId
) -> EscapedJSONResponse:
    """The policy that is in force. A map for which none was set suppresses offers for ever."""
    return await _describe(request, key.organization, action_map_id)


async def _describe(request: Request, organization: str, action_map_id: str) -> EscapedJSONResponse:
    policies = state_of(request).service.policies
    found = await run_report(request, policies.find, action_map_id, organization=organization)
    return EscapedJSONResponse(describe_policy(parse_action_map_id(action_map_id), found))
