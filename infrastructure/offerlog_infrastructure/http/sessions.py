"""Sessions of the dashboard: a cookie that means a key, held in this process alone."""

import secrets
import time
from typing import Final, NamedTuple

from fastapi import Request

from offerlog_application.keys import Key
from offerlog_infrastructure.http.access import key_of
from offerlog_infrastructure.http.problems import Problem

COOKIE: Final = "offerlog_session"
_MOST: Final = 1_000


class Session(NamedTuple):
    """What a cookie stands for.

    Attributes:
        key: The key's text; looked up at each use, so that a revoked key ends its sessions.
        csrf: What a form of ours carries.
        until: When it ends (monotonic seconds).
    """

    key: str
    csrf: str
    until: float


class Sessions:
    """The open sessions; a restart ends them.

    Attributes:
        seconds: How long one lasts.
    """

    def __init__(self, seconds: int = 12 * 3600) -> None:
        self.seconds = seconds
        self._open: dict[str, Session] = {}

    def open(self, key: str) -> str:
        """Begin one; returns the cookie's value."""
        now = time.monotonic()
        self._open = {name: one for name, one in self._open.items() if one.until > now}
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        name = secrets.token_urlsafe(32)
        self._open[name] = Session(key, secrets.token_urlsafe(32), now + self.seconds)
        return name

    def find(self, name: str) -> Session | None:
        """The session of a cookie, None where there is none."""
        found = self._open.get(name)
        return found if found is not None and found.until > time.monotonic() else None

    def key_of_cookie(self, request: Request) -> str | None:
        """The text of the key that this request's cookie means."""
        session = self.find(request.cookies.get(COOKIE, ""))
        return None if session is None else session.key

    def close(self, name: str) -> None:
        """End one."""
        self._open.pop(name, None)


async def session_of(request: Request) -> tuple[Key, Session] | None:
    """Who is logged in, None where nobody is or the key has been revoked."""
    session = request.app.state.sessions.find(request.cookies.get(COOKIE, ""))
    if session is None:
        return None
    try:
        return await key_of(request.app.state.keys, session.key), session
    except Problem:
        return None
