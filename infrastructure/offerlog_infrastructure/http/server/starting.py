"""The start of a uvicorn server: the settings that all servers of offerlog share."""

import asyncio
import socket
from typing import Any

import uvicorn
from anyio.lowlevel import checkpoint
from starlette.types import ASGIApp


def build_server(
    app: ASGIApp, connection: type[asyncio.Protocol], grace_seconds: int, **more: Any
) -> uvicorn.Server:
    """Build a server that neither logs, nor names itself, nor runs a lifespan.

    Args:
        app: The application.
        connection: The protocol of the connections, with their limits.
        grace_seconds: Most seconds that requests under way may take at the end.
        more: Further settings of uvicorn.
    """
    config = uvicorn.Config(
        app,
        http=connection,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=grace_seconds,
        server_header=False,
        lifespan="off",
        **more,
    )
    return uvicorn.Server(config)


async def start(server: uvicorn.Server, listening: socket.socket) -> asyncio.Task[None]:
    """Start a server on a listening socket, and return its task once it answers, or has ended.

    The server handles no signal: the caller does.
    """
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # the caller handles signals
    await checkpoint()  # loads the framework's backend for this loop, which the first request would wait for
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - the server only sets an attribute
        await asyncio.sleep(0.01)
    return serving
