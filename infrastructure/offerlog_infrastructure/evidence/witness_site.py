"""The HTTP service of a witness (C2SP tlog-witness): `POST /add-checkpoint`, and its key under `/vkey`."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import uvicorn
from starlette.types import Receive, Scope, Send

from offerlog_application.evidence.witness import Witness, WitnessAnswer, WitnessStatus
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_infrastructure.http.peers import TrustedProxies
from offerlog_infrastructure.http.server.admission import Admission
from offerlog_infrastructure.http.server.connections import BoundedConnection, close_late
from offerlog_infrastructure.http.server.eviction import Evictor
from offerlog_infrastructure.http.server.starting import build_server, start

LARGEST_REQUEST: Final = 256 << 10
"""Most bytes of a request: 64 signatures and 63 hashes take less."""

_MOST_DISCARDED: Final = 4 * LARGEST_REQUEST
_DISCARD_SECONDS: Final = 1.0
"""Bounds of what is read of a request that is too long, so that the answer arrives."""

_BODY_SECONDS: Final = 10.0
"""Most seconds until the body of a request has arrived."""

_MOST_CONNECTIONS: Final = 200
_CONNECTIONS_OF_ONE: Final = 20
_GRACE_SECONDS: Final = 5

_PLAIN: Final = "text/plain; charset=utf-8"
_SIZE: Final = "text/x.tlog.size"

_log = logging.getLogger(__name__)


class WitnessSite:
    """The ASGI application of a witness.

    Args:
        witness: Answers the requests.
        key: Its public key.
    """

    def __init__(self, witness: Witness, key: VerifierKey) -> None:
        self._witness = witness
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        is_read = True
        match scope["method"], scope["path"]:
            case "POST", "/add-checkpoint":
                try:
                    body = await asyncio.wait_for(_read_body(receive), _BODY_SECONDS)
                except TimeoutError:
                    is_read = False
                    status, kind, text = 408, _PLAIN, f"a request must arrive in {_BODY_SECONDS:.0f} s\n"
                else:
                    is_read = body is not None
                    status, kind, text = await self._add_checkpoint(body)
            case "GET", "/vkey":
                status, kind, text = 200, _PLAIN, f"{self._key}\n"
            case _, "/add-checkpoint" | "/vkey":
                status, kind, text = 405, _PLAIN, "POST /add-checkpoint, GET /vkey\n"
            case _:
                status, kind, text = 404, _PLAIN, "this witness has POST /add-checkpoint and GET /vkey\n"
        body = text.encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if not is_read:  # the rest of the body is not waited for
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _add_checkpoint(self, body: bytes | None) -> tuple[int, str, str]:
        try:
            text = None if body is None else body.decode()
        except UnicodeDecodeError:
            text = None
        if text is None:
            return WitnessStatus.MALFORMED, _PLAIN, f"a request is UTF-8 of at most {LARGEST_REQUEST} bytes\n"
        try:
            answer = await asyncio.to_thread(self._witness.add_checkpoint, text)
        except OSError as error:
            _log.error("nothing was cosigned: %s", error)
            return 500, _PLAIN, "the witness cannot write its memory; nothing was cosigned\n"
        _report(answer)
        kind = _SIZE if answer.status is WitnessStatus.BEHIND else _PLAIN
        return answer.status, kind, answer.text if answer.text.endswith("\n") else f"{answer.text}\n"


def _report(answer: WitnessAnswer) -> None:
    if answer.is_fork:
        _log.warning("refused a checkpoint, and kept it as evidence: %s", answer.text)


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body of a request; None if it is too long, or its client has left."""
    body = bytearray()
    while True:
        message: Any = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            return None
        if len(body) > LARGEST_REQUEST:
            if message.get("more_body", False):
                with suppress(TimeoutError):
                    await asyncio.wait_for(_discard(receive, _MOST_DISCARDED), _DISCARD_SECONDS)
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _discard(receive: Receive, most: int) -> None:
    """Read the rest of a body, up to so many bytes: who is still sending gets no answer."""
    while most > 0:
        message: Any = await receive()
        most -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


class _WitnessConnection(BoundedConnection):
    """A connection with the bounds of the service's own."""

    admission = Admission(_MOST_CONNECTIONS, _CONNECTIONS_OF_ONE, TrustedProxies("127.0.0.1"))
    evictor = Evictor()


def serve_witness(site: WitnessSite, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        site: The application.
        listening: The listening socket; it is closed at the end.
        started: Called once the server answers.
    """
    server = build_server(site, _WitnessConnection, _GRACE_SECONDS)
    asyncio.run(_serve(server, listening, started))


async def _serve(server: uvicorn.Server, listening: socket.socket, started: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    serving = await start(server, listening)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError, RuntimeError):  # outside the main thread
            loop.add_signal_handler(number, stop)
    started()
    watching = asyncio.create_task(close_late(server.server_state.connections))
    try:
        await serving
    finally:
        watching.cancel()
