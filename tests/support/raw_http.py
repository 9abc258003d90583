"""Bytes as they are, over a socket: what no HTTP client would send."""

import contextlib
import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from offerlog_infrastructure.http.state import install_state, state_of_app
from offerlog_infrastructure.settings import Settings
from support.http_site import Site


def connected(site: Site, *, seconds: float = 60.0, source: str = "127.0.0.1") -> socket.socket:
    """A connection to the site, from any address of this machine; each of its waits is limited."""
    host, port = site.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=seconds, source_address=(source, 0))


def asking(site: Site, path: str, accept: str = "*/*") -> socket.socket:
    """A connection on which a request has been sent, and nothing read."""
    connection = connected(site)
    headers = f"Host: x\r\nAccept: {accept}\r\nAuthorization: Bearer {site.key()}\r\n"
    connection.sendall(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
    return connection


def answer_of(connection: socket.socket) -> bytes:
    """One whole answer, and no byte of the next one; of a stream, which may never end, its head alone.

    Less than that where the connection ends before.
    """
    head = b""
    while b"\r\n\r\n" not in head:
        seen = connection.recv(65_536, socket.MSG_PEEK)
        if not seen:
            return head
        end = (head + seen).find(b"\r\n\r\n")
        head += connection.recv(len(seen) if end < 0 else end + 4 - len(head))
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)\r\n", head)
    if length is None:
        return head if b"transfer-encoding" in head.lower() else head + rest_of(connection)
    body = b""
    while len(body) < int(length[1]) and (more := connection.recv(int(length[1]) - len(body))):
        body += more
    return head + body


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the other side ends the connection.

    Raises:
        TimeoutError: It does not.
    """
    got = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65_536):
            got += more
    return got


def seconds_until_closed(connection: socket.socket, poke: bytes = b"", every: float = 0.25) -> float:
    """How long the other side keeps the connection open while it gets a few bytes now and then.

    Raises:
        TimeoutError: Longer than 20 seconds.
    """
    began = time.monotonic()
    connection.settimeout(every)
    while time.monotonic() - began < 20:
        try:
            if poke:
                connection.sendall(poke)
            if not connection.recv(65_536):
                return time.monotonic() - began
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - began
    raise TimeoutError("the connection is still open")


def with_settings(**changed: Any) -> Callable[[FastAPI], None]:
    """An argument `prepare` of `served`: the settings with some changed."""

    def prepare(app: FastAPI) -> None:
        install_state(app, replace(state_of_app(app), settings=Settings().model_copy(update=changed)))

    return prepare
