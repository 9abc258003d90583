"""The keys of an organization, for keys with the role admin."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from offerlog_application.ports.keys import (
    PUBLIC_ROLES,
    NotAnOriginError,
    Role,
    UnknownKeyError,
    check_web_origin,
)
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.administrators import Administrator
from offerlog_infrastructure.http.requests.bodies import body_as
from offerlog_infrastructure.http.requests.models import NewKey
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.responses.pages import encoded_response
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.key_lifetimes import read_expiry
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.key_documents import describe_key, describe_new_key

router = APIRouter(tags=["keys"], dependencies=[Depends(check_url)])


@router.get("/v1/keys", operation_id="listKeys", summary="List the keys of the organization")
async def list_keys(request: Request, key: Administrator) -> Response:
    """In the order in which they were made, with those that were revoked or have expired; without secrets."""
    keys = state_of(request).service.keys

    def read() -> bytes:
        answer: answers.ApiKeys = {"keys": [describe_key(one) for one in keys.all(key.organization)]}
        return encode_escaped(answer)

    return encoded_response(await run_report(request, read))


@router.post("/v1/keys", operation_id="createKey", summary="Make a key, and show its text once")
async def create_key(
    request: Request, key: Administrator, asked: Annotated[NewKey, body_as(NewKey)]
) -> EscapedJSONResponse:
    """The key is for the caller's organization. Only a digest of its text is stored.

    201: the key is made. If the answer is lost, revoke the key and make another one.
    """
    state = state_of(request)
    role = _check_role(asked)
    _check_name(asked.name)
    _check_origins(asked, role)
    expires_at = None
    if asked.expires is not None:
        try:
            expires_at = read_expiry(asked.expires, state.service.keys.now())
        except ValueError as error:
            raise malformed("expires", str(error)) from None
    made, text = await run_report(
        request,
        state.service.keys.create,
        key.organization,
        role,
        asked.name,
        asked.origins,
        expires_at=expires_at,
    )
    return EscapedJSONResponse(describe_new_key(made, text), 201)


@router.delete("/v1/keys/{key_id}", operation_id="revokeKey", summary="Revoke a key")
async def revoke_key(
    request: Request,
    key: Administrator,
    key_id: Annotated[str, Path(description="Id of the key.", pattern="^[0-9a-f]{12}$")],
) -> EscapedJSONResponse:
    """Every process refuses the key within seconds. A revoked key stays in the list; this may be repeated.

    404: the organization does not have a key with that id.
    """
    try:
        revoked = await run_report(request, state_of(request).service.keys.revoke, key.organization, key_id)
    except UnknownKeyError as error:
        raise ProblemError("not-found", str(error)) from None
    return EscapedJSONResponse(describe_key(revoked))


def _check_role(asked: NewKey) -> Role:
    try:
        return Role(asked.role)
    except ValueError:
        roles = ", ".join(role.value for role in Role)
        raise malformed("role", f"there is no such role; the roles are {roles}") from None


def _check_name(name: str) -> None:
    if not name.isprintable():
        raise malformed("name", "a name is text on one line, without characters that cannot be seen")


def _check_origins(asked: NewKey, role: Role) -> None:
    if asked.any_origin and asked.origins:
        raise malformed("any_origin", "give origins or any_origin, not both")
    if role in PUBLIC_ROLES and not (asked.any_origin or asked.origins):
        raise malformed(
            "origins", f"a {role} key is for the pages of a site: name its origins, or set any_origin"
        )
    try:
        for origin in asked.origins:
            check_web_origin(origin)
    except NotAnOriginError as error:
        raise malformed("origins", str(error)) from None
