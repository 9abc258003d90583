"""One log line for each request, with an id that the answer repeats as X-Request-Id; and its duration."""

import logging
import random
import re
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from offerlog_infrastructure.http.problems import answer, problem_of
from offerlog_infrastructure.http.request_durations import RequestDurations

_log = logging.getLogger(__name__)

_ACCEPTED_ID: Final = re.compile(rb"(?!.*ofl_)[A-Za-z0-9._-]{1,128}")
"""An id that a caller may choose. It stands in log lines and answers: it is short and not a key."""

_ids: Final = random.Random()  # noqa: S311 - the ids are no secrets, and the system's random bytes cost a wait for the interpreter's lock

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
"""Routes of very many requests. They are logged at `debug`, because a line for each would cost too much."""


class RequestLog:
    """Gives every request an id, logs and counts its result, and answers errors that nothing else caught."""

    def __init__(self, app: ASGIApp, durations: RequestDurations) -> None:
        self._app = app
        self._durations = durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _find_id(scope)
        bind_contextvars(request_id=request_id.decode())  # stands in every log line of this request
        began = time.perf_counter()
        status: int | None = None
        failure: Exception | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            failure = error
            if status is not None:
                raise  # the answer has begun: the server closes the connection
            await answer(problem_of(error))(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            path = route_path(scope)
            self._durations.observe(scope["method"], path, status, seconds)
            _log_request(scope["method"], path, status, seconds, failure)


def route_path(scope: Scope) -> str | None:
    """Return the path as its route has it, without ids of visitors; None without a route."""
    route = getattr(scope.get("route"), "path_format", None)
    if route is None and "endpoint" in scope:
        route = scope.get("root_path") or (None if scope.get("path_params") else scope["path"])
    return route


def _find_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
            return bytes(value)
    return b"%032x" % _ids.getrandbits(128)


def _log_request(
    method: str, path: str | None, status: int | None, seconds: float, failure: Exception | None
) -> None:
    level = _log_level(path, status, failure)
    if _log.isEnabledFor(level):
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
        }
        _log.log(level, "request", extra=fields, exc_info=failure)


def _log_level(path: str | None, status: int | None, failure: Exception | None) -> int:
    if failure is not None:
        return logging.ERROR
    if status is None or status >= 500:  # noqa: PLR2004 - the service's own fault, or its limits
        return logging.WARNING
    return logging.DEBUG if status < 400 and path in _ROUTINE else logging.INFO  # noqa: PLR2004 - as above
