"""State of a socket that the event loop does not know: bytes acknowledged, and bytes not read yet.

A client that reads slowly empties the buffer of the kernel for many seconds before the buffer of the event
loop shrinks. The acknowledged bytes show that it reads. Linux tells them; on other systems only the buffer
shows it.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Final

_ACKNOWLEDGED_AT: Final = 120
"""Offset of `tcpi_bytes_acked` in `struct tcp_info` of linux/tcp.h, an unsigned 64-bit number."""

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)

_LEAST_PROGRESS: Final = 16 << 10
"""Acknowledged bytes that count as progress; single bytes now and then do not."""


class WriteProgress:
    """Time of the last progress of a client in reading its answer.

    Attributes:
        at: By the monotonic clock, in seconds, as of the last `note`.
    """

    def __init__(self, now: float) -> None:
        self.at = now
        self._unwritten = 0
        self._acknowledged = 0

    def note(self, transport: asyncio.Transport, now: float) -> float:
        """Compare with the previous call, and return the time of the last progress."""
        unwritten = transport.get_write_buffer_size()
        acknowledged = count_acknowledged_bytes(transport) if unwritten else 0
        took = acknowledged - self._acknowledged >= _LEAST_PROGRESS
        if took or unwritten == 0 or unwritten < self._unwritten or self._unwritten == 0:
            self.at = now
            self._acknowledged = acknowledged
        self._unwritten = unwritten
        return self.at


def count_acknowledged_bytes(transport: asyncio.Transport) -> int:
    """Return the number of bytes that the client has acknowledged; 0 if the system does not tell it."""
    if _TCP_INFO is None:
        return 0
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 128)
    except (OSError, AttributeError):  # closed, or not TCP
        return 0
    if len(info) < _ACKNOWLEDGED_AT + 8:
        return 0
    return int(struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)[0])


def count_unread_bytes(transport: asyncio.Transport) -> int:
    """Return the number of received bytes that the event loop has not read yet; 0 for a closed socket."""
    try:
        number = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4))
    except (OSError, ValueError, AttributeError):
        return 0
    return int.from_bytes(number, sys.byteorder)
