"""Eviction: the choice of a connection that is closed for a new one, when the limit is reached.

Only a connection that no caller waits for is closed: it is idle, or its client has stalled. The peer with the
most connections loses one first, so that a peer with very many of them shuts out only itself. For a new
connection of a peer with fewer connections, any idle one of a larger peer is closed. For other new
connections, an idle one is closed after `FRESH_SECONDS`.

All connections are examined at most ten times a second, however many new ones arrive.
"""

from collections import Counter, deque
from collections.abc import Collection
from typing import Final, Protocol
from weakref import ref

FRESH_SECONDS: Final = 1.0
"""Idle seconds after which a connection may be closed for a new one of any peer."""

_EXAMINE_SECONDS: Final = 0.1
"""Least seconds between two examinations of all connections."""


class Connection(Protocol):
    """A connection that may be evicted."""

    peer: str

    def idle_since(self) -> float | None:
        """Return the monotonic time since which no caller waits for it; None while one waits."""

    def evict(self) -> bool:
        """Close the connection; return False if a caller has just begun to wait."""


class Evictor:
    """Closes connections for new ones. It refers to connections weakly."""

    def __init__(self) -> None:
        self._examined = float("-inf")
        self._surplus: deque[tuple[int, float, ref[Connection]]] = deque()
        self._oldest: deque[tuple[float, ref[Connection]]] = deque()

    def evict_one(self, new: Connection, count: int, connections: Collection[Connection], now: float) -> bool:
        """Close one connection for a new one; return False if none can be closed.

        Args:
            new: The new connection.
            count: Number of its peer's connections, with the new one.
            connections: All connections, with or without the new one.
            now: Monotonic time in seconds, as in `Connection.idle_since`.
        """
        if self._evict_known(new, count, now):
            return True
        return self._examine(connections, now) and self._evict_known(new, count, now)

    def _evict_known(self, new: Connection, count: int, now: float) -> bool:
        while self._surplus and self._surplus[0][0] > count:
            _, since, known = self._surplus.popleft()
            if _evict(known(), since, new):
                return True
        while self._oldest and now - self._oldest[0][0] >= FRESH_SECONDS:
            since, known = self._oldest.popleft()
            if _evict(known(), since, new):
                return True
        return False

    def _examine(self, connections: Collection[Connection], now: float) -> bool:
        """Examine all connections; return False if that was done just before."""
        if now - self._examined < _EXAMINE_SECONDS:
            return False
        self._examined = now
        of_peer = Counter(one.peer for one in connections)
        idle = [(since, one) for one in connections if (since := one.idle_since()) is not None]
        idle.sort(key=lambda pair: pair[0])
        surplus: list[tuple[int, float, ref[Connection]]] = []
        for since, one in idle:
            # The number of its peer's connections after the older ones have been closed.
            surplus.append((of_peer[one.peer], since, ref(one)))
            of_peer[one.peer] -= 1
        surplus.sort(key=lambda entry: (-entry[0], entry[1]))
        self._oldest, self._surplus = deque((since, ref(one)) for since, one in idle), deque(surplus)
        return True


def _evict(known: Connection | None, since: float, new: Connection) -> bool:
    """Close a connection, unless it has ended or has been used since it was examined."""
    if known is None or known is new or known.idle_since() != since:
        return False
    return known.evict()
