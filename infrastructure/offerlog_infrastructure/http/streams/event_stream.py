"""Server-Sent Events: the answer that streams them, its times, and the size of its pieces."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

STREAM_SECONDS: Final = 3_600.0
"""Seconds after which a stream ends; clients reconnect by themselves."""

CHECK_SECONDS: Final = 1.0
"""Seconds between two checks of the key, the session and the connection of a client that waits."""

PULSE_SECONDS: Final = 15.0
"""Seconds without an event after which something else is sent, so that no proxy closes the connection."""

PIECE_BYTES: Final = 64 << 10
"""Bytes after which a piece of a stream is sent."""

OPENING: Final = b"retry: 2000\n\n"
"""The first bytes of a stream: clients reconnect after two seconds."""

ENDING: Final = b": this stream is an hour old and ends; come again\n\n"
"""The last bytes of a stream that has lasted for `STREAM_SECONDS`."""


class EventStream(StreamingResponse):
    """An answer that streams events.

    Args:
        pieces: The bytes of the events, as they are sent.
        leave: Called when the answer ends, however it ends.
    """

    def __init__(self, pieces: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(pieces, media_type="text/event-stream", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class StreamTimes:
    """The age of a stream, and the time since it last sent something."""

    def __init__(self) -> None:
        self._sent_at = time.monotonic()
        self._ends_at = self._sent_at + STREAM_SECONDS

    def note_sent(self) -> None:
        """Note that something is sent now."""
        self._sent_at = time.monotonic()

    @property
    def is_quiet(self) -> bool:
        """True if nothing was sent for `PULSE_SECONDS`."""
        return time.monotonic() - self._sent_at > PULSE_SECONDS

    @property
    def is_over(self) -> bool:
        """True if the stream has lasted for `STREAM_SECONDS`."""
        return time.monotonic() > self._ends_at


def join_parts(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join parts into pieces of bounded size; each is made when the piece before it has been sent."""
    piece = b""
    for part in parts:
        piece += part
        if len(piece) > PIECE_BYTES:
            yield piece
            piece = b""
    if piece:
        yield piece
