"""Sessions of the dashboard: a cookie stands for a key, in the memory of this process only."""

import secrets
import time
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response

from offerlog_application.ports.keys import Key
from offerlog_infrastructure.http.peers import peer_of
from offerlog_infrastructure.http.requests.key_checks import KeyChecks
from offerlog_infrastructure.http.requests.rates import TokenBuckets, rate_limited

COOKIE: Final = "offerlog_session"
"""Name of the cookie on a loopback host; on any other host it has the prefix `__Host-`."""

SESSION_SECONDS: Final = 12 * 3_600
IDLE_SECONDS: Final = 2 * 3_600
_MAX_OF_A_KEY: Final = 20
_MOST: Final = 10_000
_LOG_INS_AT_ONCE: Final = 20
_LOG_INS_PER_SECOND: Final = 0.5
_LOOPBACK: Final = frozenset({"localhost", "::1"})


@dataclass(slots=True)
class Session:
    """Session that a cookie stands for. It does not keep the text of its key.

    Attributes:
        key_id: The key that logged in. It is looked up at each use, so that a revoked key ends its sessions.
        csrf: The token that forms of the dashboard carry.
        until: End of the session, in monotonic seconds.
        used: Last use, in monotonic seconds.
    """

    key_id: str
    csrf: str
    until: float
    used: float


class Sessions:
    """The open sessions. A restart ends them.

    Args:
        checks: Looks up the keys of sessions.
    """

    def __init__(self, checks: KeyChecks) -> None:
        self._checks = checks
        self._open: dict[str, Session] = {}
        self._log_ins = TokenBuckets(_LOG_INS_PER_SECOND, _LOG_INS_AT_ONCE)

    def __len__(self) -> int:
        return len(self._open)

    async def key_to_log_in(self, request: Request, text: str) -> Key | None:
        """Return the valid key with the text of a log-in; None if no valid key has it.

        Raises:
            ProblemError: 429, this peer has tried too often.
        """
        peer = peer_of(request)
        if not self._log_ins.take(peer):
            raise rate_limited("too many log-ins from this address", self._log_ins.wait(peer))
        return await self._checks.by_text(text, peer) if text else None

    def open(self, key: Key) -> str:
        """Begin a session, and return its cookie's value; a key's oldest session ends if it has 20."""
        now = time.monotonic()
        self._open = {name: one for name, one in self._open.items() if _is_alive(one, now)}
        of_key = [name for name, one in self._open.items() if one.key_id == key.id]
        for name in of_key[: max(0, len(of_key) - _MAX_OF_A_KEY + 1)]:
            del self._open[name]
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        name = secrets.token_urlsafe(32)
        self._open[name] = Session(key.id, secrets.token_urlsafe(32), now + SESSION_SECONDS, now)
        return name

    def close(self, request: Request) -> None:
        """End the session of this request's cookie."""
        self._open.pop(_cookie_value(request), None)

    async def find(self, request: Request) -> tuple[Key, Session] | None:
        """Return the key and session of this request's cookie; None if the session or key is not valid.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        session = self._find_by_name(_cookie_value(request))
        key = None if session is None else await self._checks.by_id(session.key_id)
        return None if session is None or key is None else (key, session)

    async def key_of_cookie(self, request: Request) -> Key | None:
        """Return the valid key of this request's cookie; None without one."""
        found = await self.find(request)
        return None if found is None else found[0]

    def _find_by_name(self, name: str) -> Session | None:
        session, now = self._open.get(name), time.monotonic()
        if session is None or not _is_alive(session, now):
            return None
        session.used = now
        return session


def set_cookie(answer: Response, request: Request, value: str) -> None:
    """Set the cookie of a session: over TLS only, unless the host is loopback."""
    is_loopback = _is_loopback(request)
    answer.set_cookie(
        _cookie_name(request),
        value,
        httponly=True,
        samesite="strict",
        secure=not is_loopback or request.url.scheme == "https",
        max_age=SESSION_SECONDS,
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


def _is_alive(session: Session, now: float) -> bool:
    return session.until > now and now - session.used < IDLE_SECONDS
