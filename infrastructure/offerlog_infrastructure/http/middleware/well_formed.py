"""Check of a request's head, before any work is done for it."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from offerlog_infrastructure.http.problems import ProblemError, answer, malformed

MAX_HEADERS: Final = 100
MAX_PARAMETERS: Final = 100
_CLOSE: Final = {"Connection": "close"}


class WellFormed:
    """Answers 400 or 431 to a request whose head is not acceptable.

    HTTP/1.1 requires exactly one Host (RFC 9112, section 3.2). With two, a proxy and the service may each use
    another one. Headers and parameters are searched many times for each request, so their number is bounded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        problem = _find_problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        problem.headers = _CLOSE
        await answer(problem)(scope, receive, send)


def _find_problem(scope: Scope) -> ProblemError | None:
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS:
        return ProblemError("headers-too-large", f"at most {MAX_HEADERS} headers")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or scope["http_version"] not in {"1.0", "0.9"}):
        return malformed("Host", f"HTTP/1.1 needs exactly one Host header, and there are {len(hosts)}")
    if scope["query_string"].count(b"&") >= MAX_PARAMETERS:
        return malformed(None, f"at most {MAX_PARAMETERS} parameters")
    return None
