"""Memory of partly received bodies: bounded for all of them, and for those of one peer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from offerlog_infrastructure.http.peers import TrustedProxies, peer_of_address
from offerlog_infrastructure.http.problems import ProblemError

FREE_BYTES: Final = 64 << 10
"""Bytes of each body that do not count; the limit on connections bounds their sum."""

MAX_BYTES: Final = 256 << 20
MAX_BYTES_OF_PEER: Final = 64 << 20
"""Most bytes that count, of all bodies and of one peer's."""


class HeldBody:
    """Memory of one body.

    Args:
        bodies: All bodies.
        peer: The sender; None for a proxy, which sends for many.
    """

    def __init__(self, bodies: "HeldBodies", peer: str | None) -> None:
        self._bodies = bodies
        self._peer = peer
        self._size = 0

    def grow(self, size: int) -> None:
        """Count more bytes of this body.

        Args:
            size: Number of bytes.

        Raises:
            ProblemError: 503, all bodies together, or those of this peer, take up too much memory.
        """
        before = max(self._size - FREE_BYTES, 0)
        self._size += size
        self._bodies.take(self._peer, max(self._size - FREE_BYTES, 0) - before)

    def release(self) -> None:
        """Count the body out."""
        self._bodies.give_back(self._peer, max(self._size - FREE_BYTES, 0))
        self._size = 0


class HeldBodies:
    """Counts the bytes of all bodies that are read as a whole and are not complete.

    Args:
        proxies: Peers that send for many others. Only the bound on all bodies applies to them.
        processes: The number of processes that share the memory.
    """

    def __init__(self, proxies: TrustedProxies, processes: int = 1) -> None:
        self._proxies = proxies
        self._most = max(MAX_BYTES // processes, MAX_BYTES_OF_PEER)
        self._all = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def holding(self, host: str | None) -> Iterator[HeldBody]:
        """Count one body while the block reads it."""
        peer = None if host is None or host in self._proxies else peer_of_address(host)
        body = HeldBody(self, peer)
        try:
            yield body
        finally:
            body.release()

    def take(self, peer: str | None, size: int) -> None:
        """Count bytes of a peer in.

        Raises:
            ProblemError: 503, the sum is too large. The bytes count all the same, until `give_back`.
        """
        self._all += size
        if peer is not None:
            self._of[peer] += size
        if size and (self._all > self._most or (peer is not None and self._of[peer] > MAX_BYTES_OF_PEER)):
            after = {"Retry-After": "2"}
            raise ProblemError("overloaded", "too many long bodies are coming at once", headers=after)

    def give_back(self, peer: str | None, size: int) -> None:
        """Count bytes of a peer out."""
        self._all -= size
        if peer is not None:
            self._of[peer] -= size
            if self._of[peer] <= 0:
                del self._of[peer]
