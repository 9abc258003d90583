"""Running the service: its port, its end."""

import asyncio
import errno
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
import uvloop
from fastapi import FastAPI

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.http.peers import TrustedProxies
from offerlog_infrastructure.http.server import metrics_port
from offerlog_infrastructure.http.server.admission import Admission, max_connections
from offerlog_infrastructure.http.server.connections import BoundedConnection, end_late
from offerlog_infrastructure.http.server.eviction import Evictor
from offerlog_infrastructure.http.state import state_of_app
from offerlog_infrastructure.settings import Settings

_PORTS_TRIED: Final = 50
_GRACE_SECONDS: Final = 20
_METRICS_CONNECTIONS: Final = 32
"""Most connections to the port for metrics; they come out of the files that are kept for the store."""

_UNSENT_BYTES: Final = 128 << 10
"""What the kernel may keep of an answer that a client does not take (Linux)."""


class PortTakenError(OfferlogError, OSError):
    """Another program listens on a port that was asked for.

    Attributes:
        port: That port.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} of {host} is taken by another program: end that one, or give --port another number"
        )
        self.port = port


def listen(host: str, port: int, *, exact: bool = False) -> socket.socket:
    """Open a listening socket on this port, or on the next free one.

    Args:
        host: An address of this machine, or a name of one.
        port: The port, 0 for any.
        exact: Whether no other port will do.

    Raises:
        PortTakenError: The port is taken, and no other one will do.
        OSError: None of the next fifty is free, or the host is not this machine's.
    """
    if not host:
        raise OSError("an address to listen on is needed, such as 127.0.0.1; none would be all of them")
    last: OSError | None = None
    for candidate in range(port, min(port + _PORTS_TRIED, 65536)) if port else (0,):
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        try:
            made.bind((host, candidate))
            made.listen(2048)
        except OSError as error:
            made.close()
            if error.errno != errno.EADDRINUSE:
                raise OSError(error.errno, f"cannot listen on {host}: {error.strerror}") from None
            if exact:
                raise PortTakenError(host, candidate) from None
            last = error
        else:
            return made
    raise OSError(f"no port from {port} to {candidate} on {host} is free: {last}")


def run(
    app: FastAPI,
    listening: socket.socket,
    started: Callable[[], None],
    stop_when: threading.Event | None = None,
    metrics: socket.socket | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight is answered first.

    Args:
        app: What to serve.
        listening: Where; closed at the end.
        started: Called once it answers.
        stop_when: Ends it too, where signals cannot: outside the main thread.
        metrics: Where to serve `/metrics` instead; closed at the end.
    """
    state = state_of_app(app)
    settings = state.settings
    most = max_connections(settings.max_connections)
    state.live_reports.most = min(state.live_reports.most, most // 2)
    config = uvicorn.Config(
        app,
        http=_connections(settings, most),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        server_header=False,
        lifespan="off",
    )
    with _short_collections(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_all(app, uvicorn.Server(config), listening, started, stop_when, metrics))


@contextmanager
def _short_collections() -> Iterator[None]:
    """Keep what the process has made so far out of garbage collections while the block runs.

    A full collection stops every thread, and would look through all modules and models each time: some
    hundred milliseconds, for objects that never go.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _serve_all(
    app: FastAPI,
    server: uvicorn.Server,
    listening: socket.socket,
    started: Callable[[], None],
    stop_when: threading.Event | None,
    metrics: socket.socket | None,
) -> None:
    if metrics is None:
        await _serve(app, server, listening, started, stop_when)
        return
    async with metrics_port.serving(
        app, metrics, _connections(state_of_app(app).settings, _METRICS_CONNECTIONS), end_late
    ):
        await _serve(app, server, listening, started, stop_when)


def _connections(settings: Settings, most: int) -> type[BoundedConnection]:
    """The class of one server's connections, which count each other."""

    class Served(BoundedConnection):
        admission = Admission(
            most, settings.max_connections_per_peer, TrustedProxies(settings.trusted_proxies)
        )
        evictor = Evictor()

    return Served


async def _serve(
    app: FastAPI,
    server: uvicorn.Server,
    listening: socket.socket,
    started: Callable[[], None],
    stop_when: threading.Event | None,
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        state_of_app(app).stopping.set()  # streams end, readiness says no
        server.should_exit = True

    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # ours end the streams as well
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - the server tells it by an attribute
        await asyncio.sleep(0.01)
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError, RuntimeError, NotImplementedError):  # outside the main thread
            loop.add_signal_handler(number, stop)
    started()
    looking_after = asyncio.create_task(end_late(server.server_state.connections))
    if stop_when is not None:
        await asyncio.to_thread(stop_when.wait)
        stop()
    try:
        await serving
    finally:
        looking_after.cancel()
