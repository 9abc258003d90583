"""A port of their own for `/metrics` and `/healthz`, which need no key.

Both are answered by the service's application. On its main port `/metrics` is then unknown, so a firewall
or the port mapping of a container can keep the figures to those who watch the service.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from offerlog_infrastructure.http.problems import ProblemError, answer
from offerlog_infrastructure.http.state import install_state, state_of, state_of_app

PATHS: Final = ("/metrics", "/healthz")
"""The only paths of that port."""
GRACE_SECONDS: Final = 2
"""How long an answer under way may take at the end."""
_MARK: Final = "offerlog.metrics_port"


class MetricsPort:
    """The application of that port: hands the two paths on, and answers 404 to all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._app({**scope, _MARK: True}, receive, send)
        else:
            unknown = ProblemError(404, "not-found", f"this port has {' and '.join(PATHS)} only")
            await answer(unknown)(scope, receive, send)


def is_hidden(request: Request) -> bool:
    """Whether `/metrics` has another port than the one that this request came to."""
    return state_of(request).has_metrics_port and _MARK not in request.scope


@asynccontextmanager
async def serving(
    app: FastAPI,
    listening: socket.socket,
    connections: type[asyncio.Protocol],
    look_after: Callable[[AbstractSet[Any]], Coroutine[Any, Any, None]],
) -> AsyncIterator[None]:
    """Serve that port while the block runs.

    Args:
        app: The service's application.
        listening: Where; closed at the end.
        connections: The protocol of its connections, with their limits.
        look_after: Ends those that take too long; runs until it is cancelled.
    """
    install_state(app, replace(state_of_app(app), has_metrics_port=True))
    config = uvicorn.Config(
        MetricsPort(app),
        http=connections,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - the server tells it by an attribute
        await asyncio.sleep(0.01)
    looking_after = asyncio.create_task(look_after(server.server_state.connections))
    try:
        yield
    finally:
        looking_after.cancel()
        server.should_exit = True
        await serving
