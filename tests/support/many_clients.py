"""Very many clients from one thread: they take little of the interpreter that they share with the service."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count

from support.http_site import Site
from support.raw_http import connected

_PIECE = 256 << 10


def request(
    method: str,
    target: str,
    key: str = "",
    body: bytes = b"",
    *,
    kind: str = "application/json",
    more: str = "",
) -> bytes:
    """The bytes of a request after whose answer the connection ends; `more` are further header lines."""
    who = f"Authorization: Bearer {key}\r\n" if key else ""
    content = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if method == "POST" else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{who}{content}{more}\r\n"
    return head.encode() + body


@dataclass
class Answer:
    """What became of one request.

    Attributes:
        status: The status code; 0 where the connection ended without one.
        size: Bytes of the answer, its headers included.
        seconds: From the moment at which all began until this answer's end.
    """

    status: int = 0
    size: int = 0
    seconds: float = 0.0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""), repr=False)


_networks = count(1)


def fresh_addresses() -> Callable[[int], str]:
    """Return 60 addresses of this machine, by number, from which nothing has come yet; none is trusted."""
    network = next(_networks)
    return lambda number: f"127.0.{network}.{1 + number % 60}"


def ask_all(
    site: Site,
    requests: Sequence[bytes],
    *,
    source: Callable[[int], str] = lambda _: "127.0.0.1",
    at_once: int = 100,
    seconds: float = 60.0,
) -> list[Answer]:
    """Send all requests, each on a separate connection, and read all answers to their ends.

    Args:
        site: Where to.
        requests: Made with `request`.
        source: The address that the request of this number comes from.
        at_once: How many connections are open at the same time.
        seconds: The limit for all of it.

    Raises:
        TimeoutError: It took longer.
    """
    answers = [Answer(unsent=memoryview(one)) for one in requests]
    began, waiting, buffer = time.monotonic(), iter(range(len(requests))), bytearray(_PIECE)
    with selectors.DefaultSelector() as selector, ExitStack() as held:

        def begin() -> None:
            if (number := next(waiting, None)) is not None:
                connection = held.enter_context(connected(site, source=source(number)))
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, answers[number])

        for _ in range(at_once):
            begin()
        while selector.get_map():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{len(selector.get_map())} of {len(requests)} answers are missing")
            for ready, events in selector.select(1.0):
                connection, answer = ready.fileobj, ready.data
                assert isinstance(connection, socket.socket)
                if _go_on(connection, answer, events, buffer):
                    if not answer.unsent:
                        selector.modify(connection, selectors.EVENT_READ, answer)
                else:
                    answer.seconds = time.monotonic() - began
                    selector.unregister(connection)
                    connection.close()
                    begin()
    return answers


def _go_on(connection: socket.socket, answer: Answer, events: int, buffer: bytearray) -> bool:
    """Send and receive what can be now; False once the other side has ended the connection."""
    try:
        if events & selectors.EVENT_READ:
            got = connection.recv_into(buffer)
            if not answer.size and got:
                answer.status = int(buffer[9:12])
            answer.size += got
            return got > 0
        answer.unsent = answer.unsent[connection.send(answer.unsent) :]
    except ConnectionError:
        return False
    return True


@contextmanager
def not_reading(site: Site, requests: Sequence[bytes]) -> Iterator[list[socket.socket]]:
    """Clients that have sent these requests and do not read; at the end they leave."""
    with ExitStack() as held:
        made = [held.enter_context(connected(site)) for _ in requests]
        for connection, one in zip(made, requests, strict=True):
            connection.sendall(one)
        yield made
