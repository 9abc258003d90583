"""Callers who may manage keys: an admin key, or an admin's session of the dashboard with its token."""

import hmac
from typing import Annotated, Final

from fastapi import Depends, Request

from offerlog_application.ports.keys import Key
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.requests.access import bearer, check_origin, check_role, find_caller
from offerlog_infrastructure.http.state import set_key, state_of

TOKEN_HEADER: Final = "X-CSRF-Token"  # noqa: S105 - a name, not a token
"""Header with the token of a session. A page of another site cannot know the token."""


async def _find_administrator(request: Request) -> Key:
    """Return the admin key of a request.

    Raises:
        ProblemError: 401, the request has no valid key; 403, the key has another role, or the token of the
            session is missing.
    """
    is_change = request.method not in {"GET", "HEAD"}
    if is_change and bearer(request) is None and (session := await state_of(request).sessions.find(request)):
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), session.csrf.encode()):
            raise ProblemError("forbidden", "this is not from a page of ours; load the page again")
        key = session.key
    else:
        key = await find_caller(request)
    check_role(key)
    check_origin(key, request)
    set_key(request, key)
    return key


Administrator = Annotated[Key, Depends(_find_administrator)]
"""Key that may manage keys: of role admin."""
