"""The server of the service: its ports, its start and its end."""

import asyncio
import errno
import gc
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
import uvloop
from fastapi import FastAPI

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.http.peers import TrustedProxies
from offerlog_infrastructure.http.server import metrics_port
from offerlog_infrastructure.http.server.admission import Admission, limit_connections
from offerlog_infrastructure.http.server.connections import BoundedConnection, close_late
from offerlog_infrastructure.http.server.eviction import Evictor
from offerlog_infrastructure.http.server.starting import build_server, start
from offerlog_infrastructure.http.shared.counts import OpenCounts
from offerlog_infrastructure.http.shared.state import SharedState
from offerlog_infrastructure.http.state import state_of_app
from offerlog_infrastructure.settings import Settings

_PORTS_TRIED: Final = 50
_GRACE_SECONDS: Final = 20
"""Most seconds that requests under way may take at the end."""

_METRICS_CONNECTIONS: Final = 32
"""Most connections to the port for metrics. They use the open files that are kept free."""

_UNSENT_BYTES: Final = 128 << 10
"""Bytes of an unread answer that the kernel may keep for each connection (Linux)."""


class PortTakenError(OfferlogError, OSError):
    """Another program listens on the port.

    Attributes:
        port: The port.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} of {host} is taken by another program: end that one, or give --port another number"
        )
        self.port = port


def listen(host: str, port: int, *, exact: bool = False) -> socket.socket:
    """Open a listening socket on this port, or on the next free port.

    Args:
        host: An address of this machine, or a name of one.
        port: The port, 0 for any.
        exact: No other port may be used.

    Raises:
        PortTakenError: The port is taken, and no other may be used.
        OSError: None of fifty ports is free, or the host is not an address of this machine.
    """
    if not host:
        raise OSError("an address to listen on is needed, such as 127.0.0.1; none would be all of them")
    last: OSError | None = None
    for candidate in range(port, min(port + _PORTS_TRIED, 65536)) if port else (0,):
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        try:
            listening.bind((host, candidate))
            listening.listen(2048)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise OSError(error.errno, f"cannot listen on {host}: {error.strerror}") from None
            if exact:
                raise PortTakenError(host, candidate) from None
            last = error
        else:
            return listening
    raise OSError(f"no port from {port} to {candidate} on {host} is free: {last}")


def run(
    app: FastAPI,
    listening: socket.socket,
    started: Callable[[], None],
    stop_when: threading.Event | None = None,
    metrics: socket.socket | None = None,
    signals: Collection[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Serve until one of the signals; requests under way are answered first.

    Args:
        app: The application.
        listening: The listening socket; it is closed at the end.
        started: Called once the server answers.
        stop_when: Another way to stop, for a server outside the main thread, where signals cannot.
        metrics: A separate listening socket for `/metrics`; it is closed at the end.
        signals: The signals that end it.
    """
    state = state_of_app(app)
    settings = state.settings
    most = limit_connections(settings.max_connections, state.shared.workers)
    state.live_reports.most = min(state.live_reports.most, most // 2)
    state.feed_waits.most = min(state.feed_waits.most, most // 4)
    server = build_server(
        app,
        _connection_class(settings, most, _peers_of(state.shared)),
        _GRACE_SECONDS,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive,
    )
    with _freeze_objects(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_all(app, server, listening, started, stop_when, metrics, signals))


@contextmanager
def _freeze_objects() -> Iterator[None]:
    """Exclude all present objects from garbage collections while the block runs.

    A full collection stops every thread. It would search all modules and models each time, which takes some
    hundred milliseconds and frees nothing.
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
    signals: Collection[signal.Signals],
) -> None:
    if metrics is None:
        await _serve(app, server, listening, started, stop_when, signals)
        return
    async with metrics_port.serving(
        app, metrics, _connection_class(state_of_app(app).settings, _METRICS_CONNECTIONS), close_late
    ):
        await _serve(app, server, listening, started, stop_when, signals)


def _peers_of(shared: SharedState) -> OpenCounts | None:
    """Return the counts of connections of peers; None where one process counts them in its own way."""
    return shared.counts("connections") if shared.workers > 1 else None


def _connection_class(
    settings: Settings, most: int, peers: OpenCounts | None = None
) -> type[BoundedConnection]:
    """Build the class of one server's connections, which share one count."""

    class ServerConnection(BoundedConnection):
        admission = Admission(
            most, settings.max_connections_per_peer, TrustedProxies(settings.trusted_proxies), peers
        )
        evictor = Evictor()

    return ServerConnection


async def _serve(
    app: FastAPI,
    server: uvicorn.Server,
    listening: socket.socket,
    started: Callable[[], None],
    stop_when: threading.Event | None,
    signals: Collection[signal.Signals],
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        state_of_app(app).stopping.set()  # streams end, and `/readyz` answers 503
        server.should_exit = True

    serving = await start(server, listening)
    for number in signals:
        with suppress(ValueError, RuntimeError, NotImplementedError):  # outside the main thread
            loop.add_signal_handler(number, stop)
    started()
    watching = asyncio.create_task(close_late(server.server_state.connections))
    if stop_when is not None:
        await asyncio.to_thread(stop_when.wait)
        stop()
    try:
        await serving
    finally:
        watching.cancel()
