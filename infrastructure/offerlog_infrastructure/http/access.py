"""Who is calling, and whether they may: keys in the Authorization header, roles, origins, rates."""

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from offerlog_application.keys import Key, KeyStore, Role
from offerlog_infrastructure.http.problems import Problem

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class Rate:
    """A bucket of tokens for each key: so many requests a second, and twice as many at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str, count: int = 1) -> None:
        """Take tokens.

        Raises:
            Problem: There are not enough; it says when there will be.
        """
        now = time.monotonic()
        left, at = self._buckets.get(key_id, (2 * self._per_second, now))
        left = min(left + (now - at) * self._per_second, 2 * self._per_second)
        if left < count:
            after = {"Retry-After": str(max(1, round((count - left) / self._per_second)))}
            raise Problem(429, "rate-limited", "too many requests with this key", headers=after)
        self._buckets[key_id] = left - count, now


async def key_of(keys: KeyStore, text: str | None) -> Key:
    """The good key with this text.

    Raises:
        Problem: There is none.
    """
    key = None
    if text:
        key = keys.remembered(text) or await run_in_threadpool(keys.find, text)
    if key is None:
        detail = (
            "a key is needed: Authorization: Bearer ofl_..."
            if not text
            else "this key is not known, or revoked"
        )
        raise Problem(401, "unauthorized", detail, headers=_CHALLENGE)
    return key


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
        raise Problem(
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
        raise Problem(403, "forbidden", f"this key is not for use from {origin}", field="Origin")


def allowed(*roles: Role) -> Any:
    """A dependency: the caller's key, which must have one of these roles or be an admin's."""

    async def check(request: Request) -> Key:
        text = bearer(request)
        if text is None and request.method == "GET":  # reading is all that a dashboard's cookie is good for
            text = request.app.state.sessions.key_of_cookie(request)
        key = check_role(await key_of(request.app.state.keys, text), *roles)
        check_origin(key, request)
        return key

    checked: Callable[[Request], Coroutine[Any, Any, Key]] = check
    return Depends(checked)


Writer = Annotated[Key, allowed(Role.SERVICE)]
"""Signals, offers."""

Reader = Annotated[Key, allowed(Role.SERVICE, Role.REPORTER)]
"""Look-ups and explanations."""

Reporter = Annotated[Key, allowed(Role.REPORTER)]
"""Reports and operations."""
