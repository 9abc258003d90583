"""Sessions of the dashboard: a cookie stands for a key, in every process on the store."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response

from offerlog_application.ports.keys import Key
from offerlog_application.ports.sessions import SESSION_TIME
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.requests.key_checks import KeyChecks
from offerlog_infrastructure.http.requests.rates import BucketMaker, make_buckets, rate_limited

COOKIE: Final = "offerlog_session"
"""Name of the cookie on a loopback host; on any other host it has the prefix `__Host-`."""

_FORM_LABEL: Final = b"offerlog: token of forms"
"""Derives the token of forms from the text of the session: every process finds the same one."""

_LOG_INS_AT_ONCE: Final = 20
_LOG_INS_PER_SECOND: Final = 0.5
_LOOPBACK: Final = frozenset({"localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Session:
    """Session that a cookie stands for.

    Attributes:
        key: The key that logged in, which is valid.
        csrf: The token that forms of the dashboard carry. The cookie cannot be found from it.
    """

    key: Key
    csrf: str


class Sessions:
    """The sessions of requests and their cookies.

    Args:
        checks: Looks up keys and sessions.
        make: Makes the buckets of log-ins.
    """

    def __init__(self, checks: KeyChecks, make: BucketMaker = make_buckets) -> None:
        self._checks = checks
        self._log_ins = make("log-ins", _LOG_INS_PER_SECOND, _LOG_INS_AT_ONCE)

    async def key_to_log_in(self, request: Request, text: str) -> Key | None:
        """Return the valid key with the text of a log-in; None if no valid key has it.

        Raises:
            ProblemError: 429, this peer has tried too often.
        """
        peer = peer_of(request)
        if not self._log_ins.take(peer):
            raise rate_limited("too many log-ins from this address", self._log_ins.wait(peer))
        return await self._checks.by_text(text, peer) if text else None

    async def open(self, request: Request, key: Key) -> str:
        """Begin a session, and return its cookie's value; a key's oldest session ends if it has 20.

        Raises:
            StoreUnavailableError: The store does not take it.
        """
        return await self._checks.open_session(key, peer_of(request))

    async def close(self, request: Request) -> None:
        """End the session of this request's cookie, in all processes.

        Raises:
            StoreUnavailableError: The store cannot be reached. The session goes on.
        """
        await self._checks.close_session(_cookie_value(request), peer_of(request))

    async def find(self, request: Request) -> Session | None:
        """Return the session of this request's cookie; None if the session has ended.

        Raises:
            ProblemError: 429, this peer has sent too many cookies that are not of a session.
            StoreUnavailableError: The store cannot be reached.
        """
        text = _cookie_value(request)
        key = await self._checks.by_session(text, peer_of(request)) if text else None
        return None if key is None else Session(key, _form_token(text))

    async def key_of_cookie(self, request: Request) -> Key | None:
        """Return the valid key of this request's cookie; None without one."""
        session = await self.find(request)
        return None if session is None else session.key


def set_cookie(answer: Response, request: Request, value: str) -> None:
    """Set the cookie of a session: over TLS only, unless the host is loopback."""
    is_loopback = _is_loopback(request)
    answer.set_cookie(
        _cookie_name(request),
        value,
        httponly=True,
        samesite="strict",
        secure=not is_loopback or request.url.scheme == "https",
        max_age=int(SESSION_TIME.total_seconds()),
        path="/",
    )


def delete_cookie(answer: Response, request: Request) -> None:
    """Delete the cookie of a session."""
    answer.delete_cookie(
        _cookie_name(request), path="/", secure=not _is_loopback(request), httponly=True, samesite="strict"
    )


def cannot_keep_cookie(request: Request) -> bool:
    """Return whether a browser drops the cookie: without TLS it keeps cookies of loopback hosts only."""
    return request.url.scheme != "https" and not _is_loopback(request)


def _cookie_value(request: Request) -> str:
    return request.cookies.get(_cookie_name(request), "")


def _cookie_name(request: Request) -> str:
    return COOKIE if _is_loopback(request) else f"__Host-{COOKIE}"


def _is_loopback(request: Request) -> bool:
    try:
        host = request.url.hostname or ""
    except ValueError:
        return False
    return host in _LOOPBACK or host.endswith(".localhost") or _is_loopback_address(host)


def _is_loopback_address(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() for part in parts)  # noqa: PLR2004 - IPv4 has four parts


def _form_token(text: str) -> str:
    derived = hmac.digest(text.encode("utf-8", "surrogatepass"), _FORM_LABEL, "sha256")
    return urlsafe_b64encode(derived).rstrip(b"=").decode()
