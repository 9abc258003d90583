"""A separate port for `/metrics` and `/healthz`, which need no key.

The application of the service answers both. On the main port, `/metrics` is then unknown. So a firewall or
the port mapping of a container can limit the metrics to those who watch the service.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from offerlog_infrastructure.http.problems import ProblemError, answer
from offerlog_infrastructure.http.server.starting import build_server, start
from offerlog_infrastructure.http.state import install_state, state_of, state_of_app

PATHS: Final = ("/metrics", "/healthz")
"""The only paths of the port."""

GRACE_SECONDS: Final = 2
"""Most seconds that an answer under way may take at the end."""

_MARK: Final = "offerlog.metrics_port"


class MetricsPort:
    """The application of the port: it passes the two paths on, and answers 404 to all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._app({**scope, _MARK: True}, receive, send)
        else:
            unknown = ProblemError("not-found", f"this port has {' and '.join(PATHS)} only")
            await answer(unknown)(scope, receive, send)


def is_hidden(request: Request) -> bool:
    """Return whether `/metrics` has a separate port and this request came to the main port."""
    return state_of(request).has_metrics_port and _MARK not in request.scope


@asynccontextmanager
async def serving(
    app: FastAPI,
    listening: socket.socket,
    connections: type[asyncio.Protocol],
    watch: Callable[[AbstractSet[Any]], Coroutine[Any, Any, None]],
) -> AsyncIterator[None]:
    """Serve the port while the block runs.

    Args:
        app: The application of the service.
        listening: The listening socket; it is closed at the end.
        connections: The protocol of the connections, with their limits.
        watch: Closes connections that take too long; it runs until it is cancelled.
    """
    install_state(app, replace(state_of_app(app), has_metrics_port=True))
    server = build_server(MetricsPort(app), connections, GRACE_SECONDS)
    serving = await start(server, listening)
    watching = asyncio.create_task(watch(server.server_state.connections))
    try:
        yield
    finally:
        watching.cancel()
        server.should_exit = True
        await serving
