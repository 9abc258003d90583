"""The organization as a whole, its issued reports, and the keyring; for keys with the role admin."""

import time
from itertools import islice
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from offerlog_application.erasure.organizations import DeletedOrganization, DeletionProgress
from offerlog_application.wording import format_count
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import AdminKey
from offerlog_infrastructure.http.requests.administrators import Administrator
from offerlog_infrastructure.http.requests.parameters import Limit
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.responses.pages import encoded_response
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.administration_documents import (
    describe_deletion,
    describe_issued,
    describe_master_key,
)

router = APIRouter(tags=["operations"], dependencies=[Depends(check_url)])

_DELETING_SECONDS: Final = 15.0
"""Seconds after which a deletion stops behind a page of visitors; the same request again goes on."""

_STEP_SECONDS: Final = 20.0
"""Seconds to wait at each step of an erasure."""

_USUAL_LIMIT: Final = 1_000


@router.get(
    "/v1/issued-reports", operation_id="issuedReports", summary="List the reports that were given out"
)
async def issued_reports(
    request: Request,
    key: Administrator,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only those behind this position.")] = 0,
    limit: Limit = _USUAL_LIMIT,
) -> Response:
    """In the order in which they were issued. `next` is the `after` of the next page."""
    service = state_of(request).service

    def read() -> bytes:
        found = list(islice(service.issued_reports.all(key.organization, after), limit))
        answer: answers.IssuedReports = {
            "reports": [describe_issued(one) for one in found],
            "next": found[-1].position if len(found) == limit else None,
        }
        return encode_escaped(answer)

    return encoded_response(await run_report(request, read))


@router.get("/v1/keyring", operation_id="keyring", summary="List the keys of the keyring")
async def keyring(request: Request, key: Administrator) -> EscapedJSONResponse:
    """Ids and times alone. Keys are rotated and retired by the command `offerlog keyring`."""
    del key  # any organization's: the keyring is of all organizations
    found = await run_report(request, state_of(request).service.master_keys.list)
    answer: answers.Keyring = {"keys": [describe_master_key(one) for one in found]}
    return EscapedJSONResponse(answer)


@router.delete(
    "/v1/organization",
    operation_id="deleteOrganization",
    summary="Delete the organization of the key for good",
)
async def delete_organization(
    request: Request,
    key: AdminKey,
    organization: Annotated[str, Query(description="Its name again, so that nobody deletes by mistake.")],
) -> EscapedJSONResponse:
    """Its visitors are erased, its refusals deleted, its keys revoked, its secret destroyed; counts stay.

    The caller's key is revoked last. 503 `erasure-unfinished`: there is more to do; send the request again.
    """
    if organization != key.organization:
        raise malformed("organization", "it is not the name of the organization of this key")
    service, ends = state_of(request).service, time.monotonic() + _DELETING_SECONDS

    def stop_in_time(progress: DeletionProgress) -> None:
        if time.monotonic() > ends:
            done = format_count(progress.done, "visitor")
            detail = f"erased so far: {done}; send the same request again to go on"
            raise ProblemError("erasure-unfinished", detail, headers={"Retry-After": "0"})

    def delete() -> DeletedOrganization:
        return service.organization_deletion.delete(
            organization, stop_in_time, timeout=_STEP_SECONDS, last_key=key.id
        )

    return EscapedJSONResponse(describe_deletion(await run_report(request, delete)))
