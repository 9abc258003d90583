"""State of a connection that the event loop does not know: bytes acknowledged, and bytes not read yet.

A client that reads slowly empties the buffer of the kernel for many seconds before the buffer of the event
loop shrinks. The acknowledged bytes show that it reads. They are known on Linux; elsewhere the buffer has
to do.
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
"""Acknowledged bytes that count as progress: a client that takes a byte now and then makes none."""


class WriteProgress:
    """Time of the last progress of a client in taking what is written to it.

    Attributes:
        at: By the monotonic clock, in seconds, as of the last `note`.
    """

    def __init__(self, now: float) -> None:
        self.at = now
        self._unwritten = 0
        self._acknowledged = 0

    def note(self, transport: asyncio.Transport, now: float) -> float:
        """Compare with the last call; return the time of the last progress."""
        unwritten = transport.get_write_buffer_size()
        acknowledged = acknowledged_bytes(transport) if unwritten else 0
        took = acknowledged - self._acknowledged >= _LEAST_PROGRESS
        if took or unwritten == 0 or unwritten < self._unwritten or self._unwritten == 0:
            self.at = now
            self._acknowledged = acknowledged
        self._unwritten = unwritten
        return self.at


def acknowledged_bytes(transport: asyncio.Transport) -> int:
    """Count of bytes that the other side has acknowledged; 0 where the system does not say."""
    if _TCP_INFO is None:
        return 0
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 128)
    except (OSError, AttributeError):  # closed, or not TCP
        return 0
    if len(info) < _ACKNOWLEDGED_AT + 8:
        return 0
    return int(struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)[0])


def unread_bytes(transport: asyncio.Transport) -> int:
    """Count of bytes that have come and that the event loop has not read yet; 0 for a closed socket."""
    try:
        number = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4))
    except (OSError, ValueError, AttributeError):
        return 0
    return int.from_bytes(number, sys.byteorder)
