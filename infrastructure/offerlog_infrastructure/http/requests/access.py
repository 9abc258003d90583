"""Callers and their rights: keys in the Authorization header, sessions, roles, origins."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.types import Message

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Key, Role
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.requests.headers import find_header
from offerlog_infrastructure.http.requests.visitor_tokens import (
    VisitorTokenError,
    is_visitor_token,
    read_key_id,
    verify_visitor_token,
)
from offerlog_infrastructure.http.state import set_key, state_of

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}

_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks of the key of an upload."""


async def find_key(request: Request, text: str | None) -> Key:
    """Return the valid key with this text.

    Raises:
        ProblemError: 401, no valid key has this text, or it has expired; 429, this peer has sent too many
            unknown keys.
        StoreUnavailableError: The store cannot be reached.
    """
    if not text:
        raise _unauthorized("a key is needed: Authorization: Bearer ofl_...")
    checks = state_of(request).key_checks
    key = await checks.by_text(text, peer_of(request))
    if key is None and is_visitor_token(text):
        raise _unauthorized("a visitor token is for POST /v1/offers alone; a key is needed here")
    if key is None:
        raise _unauthorized(checks.say_why_not(text))
    return key


async def find_visitor(request: Request, token: str) -> tuple[Key, VisitorKey]:
    """Return the visitor of a visitor token, and the page key that the token was signed with.

    Raises:
        ProblemError: 401, the token is not valid, or its key is not; 429, this peer has sent too many
            unknown keys.
        StoreUnavailableError: The store cannot be reached.
    """
    try:
        found = await state_of(request).key_checks.signing_key(read_key_id(token), peer_of(request))
        if found is not None:
            key, secret = found
            return key, verify_visitor_token(token, secret, time.time())
    except VisitorTokenError as error:
        raise _unauthorized(f"this visitor token is not valid: {error}") from None
    raise _unauthorized("this visitor token is not valid: its page key is unknown, revoked or expired")


async def find_caller(request: Request) -> Key:
    """Return the key of the Authorization header or, for reading, of a session of the dashboard.

    Raises:
        ProblemError: 401, the request has no key, or its key is not valid any more; 429, this peer has sent
            too many unknown keys.
        StoreUnavailableError: The store cannot be reached.
    """
    text = bearer(request)
    if text is None and request.method == "GET":  # a cookie of the dashboard allows reading only
        key = await state_of(request).sessions.key_of_cookie(request)
        if key is not None:
            return key
    return await find_key(request, text)


async def is_still_valid(request: Request) -> bool:
    """Return False once the key of a reader was revoked or has expired, or its session has ended.

    A check counts as a use of the session, so an open page keeps its session alive.
    """
    try:
        await find_caller(request)
    except ProblemError as problem:
        return problem.status != HTTPStatus.UNAUTHORIZED  # others, such as 429, are temporary
    except StoreUnavailableError:
        return True
    return True


async def check_still_valid(request: Request, text: str | None = None) -> None:
    """Check again that the key of a request is valid.

    Any other problem than 401, and an outage of the store, is ignored: the next check decides.

    Args:
        request: The request.
        text: Text of the key; None for the key, or visitor token, in the Authorization header.

    Raises:
        ProblemError: 401, the key has been revoked since, or has expired.
    """
    # While the store is unavailable nothing is recorded, and the next check finds a revoked key.
    with suppress(StoreUnavailableError):
        try:
            text = text or bearer(request)
            if text is not None and is_visitor_token(text):
                await find_visitor(request, text)
            else:
                await find_key(request, text)
        except ProblemError as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED:  # others, such as 429, are temporary
                return
            detail = (
                "this key was revoked, or has expired, while the body was coming: NDJSON is recorded up to"
                " here, and nothing of any other body"
            )
            headers = {**_CHALLENGE, "Connection": "close"}  # the rest of the body is not read
            raise ProblemError("unauthorized", detail, headers=headers) from None


def end_with_key(request: Request) -> Request:
    """Return the same request, but its body ends with 401 within seconds after the end of its key.

    An upload may take hours and may pause for a minute, so its key is checked every second.
    """
    checked = time.monotonic()

    async def receive() -> Message:
        nonlocal checked
        while True:
            left = checked + _CHECK_SECONDS - time.monotonic()
            if left <= 0:
                await check_still_valid(request)
                checked = time.monotonic()
                continue
            try:
                async with asyncio.timeout(left):
                    return await request.receive()
            except TimeoutError:
                continue

    return Request(request.scope, receive)


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError("unauthorized", detail, headers=_CHALLENGE)


def bearer(request: Request) -> str | None:
    """Return the text of the key in the Authorization header; None without one."""
    scheme, _, text = (find_header(request, b"authorization") or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def check_role(key: Key, *roles: Role) -> Key:
    """Return the key if it has one of these roles or the role admin.

    Raises:
        ProblemError: 403, the key has another role.
    """
    if key.role is not Role.ADMIN and key.role not in roles:
        needed = " or ".join(role.value for role in (*roles, Role.ADMIN))
        raise ProblemError(
            "forbidden", f"a key with the role {needed} is needed here; this key has the role {key.role}"
        )
    return key


def check_origin(key: Key, request: Request) -> None:
    """Check that a browser uses a key from an origin that the key was made for.

    Raises:
        ProblemError: 403, the request comes from another origin.
    """
    origin = find_header(request, b"origin")
    if origin is not None and key.origins and origin not in key.origins:
        raise ProblemError("forbidden", f"this key is not for use from {origin}", field="Origin")


def allowed(*roles: Role) -> Any:
    """Build a dependency: the caller's key, which must have one of these roles or the role admin."""

    async def check(request: Request) -> Key:
        key = check_role(await find_caller(request), *roles)
        check_origin(key, request)
        set_key(request, key)
        return key

    return Depends(check)


Reader = Annotated[Key, allowed(Role.SERVICE, Role.REPORTER)]
"""Key that may look up suppressions and histories, and explain decisions."""

AdminKey = Annotated[Key, allowed()]
"""Key with the role admin. A change needs the key itself: a session of the dashboard is not enough."""

PrivacyOfficer = Annotated[Key, allowed(Role.PRIVACY)]
"""The caller's key: of role privacy or admin."""

EventReader = Annotated[Key, allowed(Role.SERVICE, Role.REPORTER, Role.EVENTS)]
"""Key that may read the feed, and move and delete its subscriptions. Only the roles events and admin read
what identifies visitors."""

Reporter = Annotated[Key, allowed(Role.REPORTER)]
"""Key that may read reports and the state of the service."""
