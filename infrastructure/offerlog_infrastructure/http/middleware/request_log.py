"""One log line a request, under an id that the caller gets back as X-Request-Id."""

import logging
import re
import secrets
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from offerlog_infrastructure.http.problems import answer, of

_log = logging.getLogger(__name__)

_SANE: Final = re.compile(rb"(?!.*ofl_)[A-Za-z0-9._-]{1,128}")
"""An id that a caller may choose: it goes into log lines and back, so it is short, plain, and no key."""

_ROUTINE: Final = frozenset(
    {
        "/v1/signals",
        "/v1/visitors/{customer_id}/suppressions",
        "/v1/suppressions",
        "/v1/suppressions:batch",
        "/healthz",
        "/readyz",
        "/metrics",
    }
)
"""What is asked all day long: a line for each would cost more than it tells, so they are for `debug`."""


class RequestLog:
    """Gives every request an id, notes what became of it, and answers for what nobody else caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _id_of(scope)
        bind_contextvars(request_id=name.decode())  # every line that is logged on its behalf will say so
        began = time.perf_counter()
        status: int | None = None
        failure: Exception | None = None

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name)]
            await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception as error:
            failure = error
            if status is not None:
                raise  # too late for another answer: the server breaks off the connection
            await answer(of(error))(scope, receive, told)
        finally:
            _note(scope, status, time.perf_counter() - began, failure)


def path_of(scope: Scope) -> str | None:
    """The path without what identifies a visitor, as its route has it; None where there is no route."""
    route = getattr(scope.get("route"), "path_format", None)
    if route is None and "endpoint" in scope:
        route = scope.get("root_path") or (None if scope.get("path_params") else scope["path"])
    return route


def _id_of(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return bytes(value)
    return secrets.token_hex(16).encode()


def _note(scope: Scope, status: int | None, seconds: float, failure: Exception | None) -> None:
    path = path_of(scope)
    level = _level(path, status, failure)
    if _log.isEnabledFor(level):
        told = {
            "method": scope["method"],
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
        }
        _log.log(level, "request", extra=told, exc_info=failure)


def _level(path: str | None, status: int | None, failure: Exception | None) -> int:
    if failure is not None:
        return logging.ERROR
    if status is None or status >= 500:  # noqa: PLR2004 - the service's own fault, or its limits
        return logging.WARNING
    return logging.DEBUG if status < 400 and path in _ROUTINE else logging.INFO  # noqa: PLR2004 - as above
