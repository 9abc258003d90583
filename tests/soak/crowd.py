"""A crowd of HTTP clients that are no use to anybody: `python -m soak.crowd PORT SECONDS --silent 300 ...`.

Each kind of client behaves in one way, and connects again a second after its connection has ended:

| kind | what it does |
|---|---|
| silent | sends nothing |
| kept | asks for `/healthz` every 20 seconds, on a connection that it keeps |
| slow | sends its headers, or its body if it has a key, a byte a second |
| deaf | asks for a long document again and again, and reads nothing |
| stream | reads `/v1/stream`, with a key |

The clients come from many addresses of this machine. A line of JSON a second says how many of each kind are
connected, and at the end how often the service shut one out at once or ended its connection.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Final

KINDS: Final = ("silent", "kept", "slow", "deaf", "stream")
KEYS: Final = "CROWD_KEYS"
"""The environment variable with the keys that slow bodies and streams use, separated by spaces."""
PER_ADDRESS: Final = 50
"""Clients of one address; the service lets in 100."""

_AGAIN_SECONDS: Final = 1.0
_KEPT_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 20.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Crowd:
    """All clients of one port.

    Args:
        port: Of the service, on this machine.
        keys: Handed out by turns.
    """

    def __init__(self, port: int, keys: Sequence[str]) -> None:
        self._port = port
        self._keys = cycle(keys) if keys else None
        self.connected: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    async def gather(self, numbers: dict[str, int], seconds: float) -> None:
        """Let so many clients of each kind act for so long."""
        kinds = [kind for kind, number in numbers.items() for _ in range(number)]
        clients = [asyncio.create_task(self._client(kind, n)) for n, kind in enumerate(kinds)]
        for _ in range(round(seconds)):
            await asyncio.sleep(1.0)
            sys.stdout.write(json.dumps({"connected": self.connected, "events": self.events}) + "\n")
            sys.stdout.flush()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self, kind: str, number: int) -> None:
        address = f"127.{1 + number // (PER_ADDRESS * 200)}.{1 + number // PER_ADDRESS % 200}.1"
        act: Callable[..., Awaitable[None]] = getattr(self, f"_{kind}")
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    # A small buffer: what the kernel takes for a client that does not read is no load.
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", self._port, local_addr=(address, 0), limit=4_096
                    )
            except OSError as error:
                self.events[f"{kind} not connected: {type(error).__name__}"] += 1
            else:
                await self._act(kind, act, reader, writer)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _act(
        self,
        kind: str,
        act: Callable[..., Awaitable[None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.connected[kind] += 1
        try:
            await act(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self.events[f"{kind} ended"] += 1
        finally:
            self.connected[kind] -= 1
            writer.close()

    async def _silent(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await self._until_ended("silent", reader)

    async def _kept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            self.events[f"kept {head[9:12].decode()}"] += 1
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            if b" 200 " not in head[:20]:
                return
            await asyncio.sleep(_KEPT_SECONDS)

    async def _slow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = b"POST /v1/signals HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        if self._keys is not None:
            head = f"Authorization: Bearer {next(self._keys)}\r\nContent-Length: 100000\r\n\r\n"
            writer.write(text + head.encode())
            text = b" " * 600
        ended = asyncio.create_task(self._until_ended("slow", reader))
        for byte in text:
            if ended.done():
                break
            writer.write(bytes((byte,)))
            await asyncio.sleep(1.0)
        ended.cancel()

    async def _deaf(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(1.0)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = next(self._keys) if self._keys else ""
        writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        self.events[f"stream {head[9:12].decode()}"] += 1
        await self._until_ended("stream", reader)

    async def _until_ended(self, kind: str, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while got := await reader.read(4_096):
                if got.startswith(b"HTTP/1.1"):
                    self.events[f"{kind} {got[9:12].decode()}"] += 1
        self.events[f"{kind} ended"] += 1


def main(words: Sequence[str]) -> None:
    """Read the command line, and be a crowd for so long."""
    parser = argparse.ArgumentParser(prog="soak.crowd")
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0)
    asked = parser.parse_args(words)
    numbers = {kind: getattr(asked, kind) for kind in KINDS}
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(Crowd(asked.port, os.environ.get(KEYS, "").split()).gather(numbers, asked.seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
