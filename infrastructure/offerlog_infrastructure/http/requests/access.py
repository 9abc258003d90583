"""Who is calling, and whether they may: keys in the Authorization header, roles, origins."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.types import Message

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Key, Role
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.state import set_key, state_of

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}

_CHECK_SECONDS: Final = 1.0
"""How often an upload looks whether its key is still good."""


async def find_key(request: Request, text: str | None) -> Key:
    """Return the good key with this text.

    Raises:
        Problem: 401 where there is none.
    """
    if not text:
        raise _unauthorized("a key is needed: Authorization: Bearer ofl_...")
    key = await state_of(request).key_checks.by_text(text, peer_of(request))
    if key is None:
        raise _unauthorized("this key is not known, or revoked")
    return key


async def find_caller(request: Request) -> Key:
    """Return the key of the Authorization header or, for reading, of a dashboard's session.

    Raises:
        Problem: 401 where there is none, or it is not good any more.
    """
    text = bearer(request)
    if text is None and request.method == "GET":  # reading is all that a dashboard's cookie is good for
        key: Key | None = await state_of(request).sessions.key_of_cookie(request)
        if key is not None:
            return key
    return await find_key(request, text)


async def is_still_allowed(request: Request) -> bool:
    """Return False once the key of a reader has been revoked or its session has ended.

    A look counts as use of the session, so an open page keeps it for as long as sessions may live.
    """
    try:
        await find_caller(request)
    except ProblemError as problem:
        return problem.status != 401  # noqa: PLR2004 - Unauthorized; what cannot be looked up now is looked up again
    except StoreUnavailableError:
        return True
    return True


async def check_still_good(request: Request, text: str | None = None) -> None:
    """Look again at the key that a request came with.

    Args:
        request: Whose key.
        text: The key, where it did not come in the Authorization header.

    Raises:
        Problem: 401 where it has been revoked meanwhile.
    """
    # Without the store nothing can be recorded either, until the writer or the next look finds it again.
    with suppress(StoreUnavailableError):
        try:
            await find_key(request, text or bearer(request))
        except ProblemError as problem:
            if problem.status != 401:  # noqa: PLR2004 - Unauthorized; what cannot be looked up now is looked up again
                return
            detail = (
                "this key has been revoked while the body was coming: NDJSON is recorded up to here, and"
                " nothing of any other body"
            )
            headers = {**_CHALLENGE, "Connection": "close"}  # the rest of the body is not waited for
            raise ProblemError(401, "unauthorized", detail, headers=headers) from None


def while_key_is_good(request: Request) -> Request:
    """Return the same request, whose body ends with 401 within seconds once its key has been revoked.

    An upload may go on for hours, and nothing may come of it for a minute: the key is looked at every second.
    """
    checked = time.monotonic()

    async def receive() -> Message:
        nonlocal checked
        while True:
            left = checked + _CHECK_SECONDS - time.monotonic()
            if left <= 0:
                await check_still_good(request)
                checked = time.monotonic()
                continue
            try:
                async with asyncio.timeout(left):
                    return await request.receive()
            except TimeoutError:
                continue

    return Request(request.scope, receive)


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, "unauthorized", detail, headers=_CHALLENGE)


def bearer(request: Request) -> str | None:
    """The key's text in the Authorization header."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def check_role(key: Key, *roles: Role) -> Key:
    """Let a key through that has one of these roles, or is an admin's.

    Raises:
        Problem: It has not.
    """
    if key.role is not Role.ADMIN and key.role not in roles:
        needed = " or ".join(role.value for role in (*roles, Role.ADMIN))
        raise ProblemError(
            403, "forbidden", f"this is for a key with the role {needed}, and this one is a {key.role}'s"
        )
    return key


def check_origin(key: Key, request: Request) -> None:
    """Hold a key to the web origins that it was made for.

    Raises:
        Problem: A browser uses it from elsewhere.
    """
    origin = request.headers.get("origin")
    if origin is not None and key.origins and origin not in key.origins:
        raise ProblemError(403, "forbidden", f"this key is not for use from {origin}", field="Origin")


def allowed(*roles: Role) -> Any:
    """A dependency: the caller's key, which must have one of these roles or be an admin's."""

    async def check(request: Request) -> Key:
        key = check_role(await find_caller(request), *roles)
        check_origin(key, request)
        set_key(request, key)
        return key

    checked: Callable[[Request], Coroutine[Any, Any, Key]] = check
    return Depends(checked)


Writer = Annotated[Key, allowed(Role.SERVICE)]
"""Signals, offers."""

Reader = Annotated[Key, allowed(Role.SERVICE, Role.REPORTER)]
"""Look-ups and explanations."""

Reporter = Annotated[Key, allowed(Role.REPORTER)]
"""Reports and operations."""
