"""Memory for bodies that have come in part: bounded for all of them, and for those of one peer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from offerlog_infrastructure.http.peers import TrustedProxies, peer_of_address
from offerlog_infrastructure.http.problems import ProblemError

FREE_BYTES: Final = 64 << 10
"""What every body may hold; the cap on connections bounds it for all of them."""

MOST_BYTES: Final = 256 << 20
MOST_BYTES_OF_PEER: Final = 64 << 20


class HeldBody:
    """What is held of one body.

    Args:
        bodies: All of them.
        peer: Who sends it; None for a proxy, which sends for many.
    """

    def __init__(self, bodies: "HeldBodies", peer: str | None) -> None:
        self._bodies = bodies
        self._peer = peer
        self._size = 0

    def grow(self, size: int) -> None:
        """Hold more.

        Args:
            size: Bytes.

        Raises:
            Problem: All bodies together, or those of this peer, hold too much.
        """
        before = max(self._size - FREE_BYTES, 0)
        self._size += size
        self._bodies.take(self._peer, max(self._size - FREE_BYTES, 0) - before)

    def release(self) -> None:
        """Hold nothing any more."""
        self._bodies.give_back(self._peer, max(self._size - FREE_BYTES, 0))
        self._size = 0


class HeldBodies:
    """Counts the bytes of all bodies that are read as a whole and have not come to their end.

    Args:
        proxies: Peers that send for many others, and so are bounded by the whole alone.
    """

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._all = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def holding(self, host: str | None) -> Iterator[HeldBody]:
        """One body, while it is read."""
        peer = None if host is None or host in self._proxies else peer_of_address(host)
        body = HeldBody(self, peer)
        try:
            yield body
        finally:
            body.release()

    def take(self, peer: str | None, size: int) -> None:
        """Count bytes of a peer in.

        Raises:
            Problem: It is too much. The bytes are counted all the same, until they are given back.
        """
        self._all += size
        if peer is not None:
            self._of[peer] += size
        if size and (self._all > MOST_BYTES or (peer is not None and self._of[peer] > MOST_BYTES_OF_PEER)):
            after = {"Retry-After": "2"}
            raise ProblemError(503, "overloaded", "too many long bodies are coming at once", headers=after)

    def give_back(self, peer: str | None, size: int) -> None:
        """Count bytes of a peer out."""
        self._all -= size
        if peer is not None:
            self._of[peer] -= size
            if self._of[peer] <= 0:
                del self._of[peer]
