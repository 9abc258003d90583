"""Listening sockets of several processes on one port: the kernel spreads connections over them.

On Linux each worker has its own socket on the port (`SO_REUSEPORT`). On one shared socket the process that
wakes first accepts a whole burst of connections, and keeps them while they live. Other systems do not spread
connections over such sockets, so there all workers share one socket.
"""

import socket
import sys
from typing import Final

SPREADS: Final = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")
"""True where the kernel spreads connections over the sockets of one port."""


class WorkerSockets:
    """The listening sockets of the workers.

    The supervisor keeps them open, so a connection that waits for a dead worker is not lost.

    Args:
        first: The open socket of the port. Nobody else listens there: it was opened without sharing.
        count: The number of workers.
    """

    def __init__(self, first: socket.socket, count: int) -> None:
        self._family = first.family
        self._address = first.getsockname()
        self._unsent = _unsent_limit(first)
        self._sockets: list[socket.socket | None] = [first] * count
        if SPREADS:
            first.close()  # a socket that does not share its port would keep the others out
            self._sockets = [None] * count
            for number in range(count):
                self._sockets[number] = self._open()

    def of(self, number: int) -> socket.socket:
        """Return the socket of a worker, counted from 0; a closed one is opened anew.

        Raises:
            OSError: The port cannot be opened.
        """
        found = self._sockets[number]
        if found is None:
            found = self._sockets[number] = self._open()
        return found

    def close_one(self, number: int) -> None:
        """Close the socket of a worker that will not start soon, so that the others get its connections."""
        found = self._sockets[number]
        if SPREADS and found is not None:
            self._sockets[number] = None
            found.close()

    def close_others(self, number: int) -> None:
        """Close the sockets of the other workers, in the process of this one; -1 closes them all."""
        mine = self._sockets[number] if number >= 0 else None
        for one in self._sockets:
            if one is not None and one is not mine:
                one.close()

    def close(self) -> None:
        """Close all sockets."""
        self.close_others(-1)

    def _open(self) -> socket.socket:
        listening = socket.socket(self._family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if self._unsent is not None:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, self._unsent)
        try:
            listening.bind(self._address)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
        return listening


def _unsent_limit(listening: socket.socket) -> int | None:
    """Return the bytes of an unread answer that the kernel may keep; None if the system has no such limit."""
    if not hasattr(socket, "TCP_NOTSENT_LOWAT"):
        return None
    return listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
