"""Choice of the connection that ends in favour of a new one, once there are as many as there may be.

Only a connection that no caller waits for ends: it is idle, or its client does not go on. The first is one
of the peer that has most of them, so that a crowd shuts out nobody but itself. A new connection whose peer
has fewer of them always finds room among the idle ones; one of the crowd, where another has been idle for a
while.

All connections are looked at ten times a second at most, however many new ones come.
"""

from collections import Counter, deque
from collections.abc import Collection
from typing import Final, Protocol
from weakref import ref

FRESH_SECONDS: Final = 1.0
"""Idle time below which a connection is safe from new ones whose peer has no fewer connections."""

_LOOK_SECONDS: Final = 0.1


class Connection(Protocol):
    """A connection that may have to make room."""

    peer: str

    def idle_since(self) -> float | None:
        """Time since when no caller has been waiting for it, by the monotonic clock; None while one is."""

    def evict(self) -> bool:
        """End; false if a caller has just begun to wait."""


class Evictor:
    """Ends connections in favour of new ones. Keeps none of them alive."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._surplus: deque[tuple[int, float, ref[Connection]]] = deque()
        self._oldest: deque[tuple[float, ref[Connection]]] = deque()

    def evict_one(self, new: Connection, count: int, connections: Collection[Connection], now: float) -> bool:
        """End one connection in favour of a new one; false if none can end.

        Args:
            new: Let in already.
            count: Connections of its peer, with this one.
            connections: All connections, the new one among them or not.
            now: By the monotonic clock, in seconds, as `Connection.idle_since`.
        """
        if self._end_one(new, count, now):
            return True
        return self._look(connections, now) and self._end_one(new, count, now)

    def _end_one(self, new: Connection, count: int, now: float) -> bool:
        while self._surplus and self._surplus[0][0] > count:
            _, since, known = self._surplus.popleft()
            if _end(known(), since, new):
                return True
        while self._oldest and now - self._oldest[0][0] >= FRESH_SECONDS:
            since, known = self._oldest.popleft()
            if _end(known(), since, new):
                return True
        return False

    def _look(self, connections: Collection[Connection], now: float) -> bool:
        """Look at all connections anew; false if that was done just now."""
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        of_peer = Counter(one.peer for one in connections)
        idle = [(since, one) for one in connections if (since := one.idle_since()) is not None]
        idle.sort(key=lambda pair: pair[0])
        surplus: list[tuple[int, float, ref[Connection]]] = []
        for since, one in idle:
            # The count of its peer while the older ones of that peer have made room.
            surplus.append((of_peer[one.peer], since, ref(one)))
            of_peer[one.peer] -= 1
        surplus.sort(key=lambda entry: (-entry[0], entry[1]))
        self._oldest, self._surplus = deque((since, ref(one)) for since, one in idle), deque(surplus)
        return True


def _end(known: Connection | None, since: float, new: Connection) -> bool:
    """End a connection, unless it is gone or something has come of it since it was looked at."""
    if known is None or known is new or known.idle_since() != since:
        return False
    return known.evict()
