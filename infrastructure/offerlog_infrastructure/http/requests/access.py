"""Who is calling, and whether they may: keys in the Authorization header, roles, origins."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.types import Message

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Key, KeyStore, Role
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.requests.rates import TokenBuckets, peer_of, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}

_CHECK_SECONDS: Final = 1.0
"""How often an upload looks whether its key is still good."""

_UNKNOWN_KEYS_AT_ONCE: Final = 50
_UNKNOWN_KEYS_PER_SECOND: Final = 5.0
"""Look-ups of keys that turn out to be unknown, by peer address: past that the store is not asked."""


class KeyChecks:
    """Looks keys up without ever blocking the event loop, and without letting bad keys flood the store.

    A good key is remembered for a few seconds and a bad one for a minute. What neither is goes to the
    store, on threads of its own in which peers take turns; requests that come with the same key meanwhile
    share one look-up.

    Args:
        keys: Where keys are kept.
        threads: Threads for the look-ups, shared by peer address.
        prepare: Called in the thread with the organization of each key that is found, before the key is used.
    """

    def __init__(self, keys: KeyStore, threads: FairThreads, prepare: Callable[[str], None]) -> None:
        self._keys = keys
        self._threads = threads
        self._prepare = prepare
        self._failures = TokenBuckets(_UNKNOWN_KEYS_PER_SECOND, _UNKNOWN_KEYS_AT_ONCE)
        self._under_way: dict[str, asyncio.Task[Key | None]] = {}

    async def by_text(self, text: str, peer: str) -> Key | None:
        """Return the good key with this text, None where there is none.

        Raises:
            Problem: 429 where this peer has asked for too many unknown keys.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.remembered(text)
        if key is not None or self._keys.is_unknown(text):
            return key
        if self._keys.was_good(
            text
        ):  # whatever else comes from the same address, this caller has a turn of its own
            return await self._looked_up(text, f"key {text}", self._keys.find)
        if wait := self._failures.wait(peer):
            raise rate_limited("too many unknown keys from this address", wait)
        key = await self._looked_up(text, peer, self._keys.find)
        if key is None:
            self._failures.charge(peer, 1)
        return key

    async def by_id(self, key_id: str) -> Key | None:
        """Return the good key with this id: of a session, which has shown the key's text once.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.remembered_id(key_id)
        return key if key is not None else await self._looked_up(key_id, f"key {key_id}", self._keys.find_id)

    async def _looked_up(self, name: str, caller: str, find: Callable[[str], Key | None]) -> Key | None:
        looking = self._under_way.get(name)
        if looking is None:
            looking = self._under_way[name] = asyncio.create_task(self._look_up(name, caller, find))
            looking.add_done_callback(lambda done: self._ended(name, done))
        return await asyncio.shield(looking)

    async def _look_up(self, name: str, caller: str, find: Callable[[str], Key | None]) -> Key | None:
        def found() -> Key | None:
            key = find(name)
            if key is not None:
                self._prepare(key.organization)
            return key

        return await self._threads.run(caller, found)

    def _ended(self, name: str, looking: "asyncio.Task[Key | None]") -> None:
        del self._under_way[name]
        if not looking.cancelled():
            looking.exception()  # so that it is not logged as forgotten where everybody has left


async def key_of(request: Request, text: str | None) -> Key:
    """Return the good key with this text.

    Raises:
        Problem: 401 where there is none.
    """
    if not text:
        raise _unauthorized("a key is needed: Authorization: Bearer ofl_...")
    checks: KeyChecks = request.app.state.key_checks
    key = await checks.by_text(text, peer_of(request))
    if key is None:
        raise _unauthorized("this key is not known, or revoked")
    return key


async def caller_of(request: Request) -> Key:
    """Return the key of the Authorization header or, for reading, of a dashboard's session.

    Raises:
        Problem: 401 where there is none, or it is not good any more.
    """
    text = bearer(request)
    if text is None and request.method == "GET":  # reading is all that a dashboard's cookie is good for
        key: Key | None = await request.app.state.sessions.key_of_cookie(request)
        if key is not None:
            return key
    return await key_of(request, text)


async def is_still_allowed(request: Request) -> bool:
    """Return False once the key of a reader has been revoked or its session has ended.

    A look counts as use of the session, so an open page keeps it for as long as sessions may live.
    """
    try:
        await caller_of(request)
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
            await key_of(request, text or bearer(request))
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
        key = check_role(await caller_of(request), *roles)
        check_origin(key, request)
        request.state.key = key
        return key

    checked: Callable[[Request], Coroutine[Any, Any, Key]] = check
    return Depends(checked)


Writer = Annotated[Key, allowed(Role.SERVICE)]
"""Signals, offers."""

Reader = Annotated[Key, allowed(Role.SERVICE, Role.REPORTER)]
"""Look-ups and explanations."""

Reporter = Annotated[Key, allowed(Role.REPORTER)]
"""Reports and operations."""
