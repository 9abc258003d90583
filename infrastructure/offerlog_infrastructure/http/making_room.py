"""Which connection makes room for a new one, once there are as many as there may be.

Only a connection of which nobody waits for an answer ends: it is idle, or its client does not go on. The
first is one of the peer that has most of them, so that a crowd shuts out nobody but itself: a newcomer whose
peer has fewer connections always finds room, and one of the crowd finds it where another has been idle for
a while.

All connections are looked at ten times a second at most, however many newcomers there are.
"""

from collections import Counter, deque
from collections.abc import Collection
from typing import Final, Protocol

FRESH_SECONDS: Final = 1.0
"""How long a connection is safe from newcomers whose peer has no fewer connections."""

_LOOK_SECONDS: Final = 0.1


class Guest(Protocol):
    """A connection that may have to make room."""

    peer: str

    def idle_since(self) -> float | None:
        """When nobody began to wait for an answer of it; None while somebody does."""

    def make_room(self) -> None:
        """End."""


class Room:
    """Chooses who makes room."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._surplus: deque[tuple[int, float, Guest]] = deque()
        self._oldest: deque[tuple[float, Guest]] = deque()

    def make(self, newcomer: Guest, its_number: int, guests: Collection[Guest], now: float) -> bool:
        """End one connection in favour of a newcomer; false if none can.

        Args:
            newcomer: Let in already.
            its_number: How many connections its peer has, with this one.
            guests: All connections, the newcomer among them or not.
            now: In seconds, as `Guest.idle_since`.
        """
        if self._end_one(newcomer, its_number, now):
            return True
        return self._look(guests, now) and self._end_one(newcomer, its_number, now)

    def _end_one(self, newcomer: Guest, its_number: int, now: float) -> bool:
        while self._surplus and self._surplus[0][0] > its_number:
            _, since, guest = self._surplus.popleft()
            if _ends(guest, since, newcomer):
                return True
        while self._oldest and now - self._oldest[0][0] >= FRESH_SECONDS:
            since, guest = self._oldest.popleft()
            if _ends(guest, since, newcomer):
                return True
        return False

    def _look(self, guests: Collection[Guest], now: float) -> bool:
        """Look at all connections anew; false if that was done just now."""
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        of_peer = Counter(guest.peer for guest in guests)
        idle = [(since, guest) for guest in guests if (since := guest.idle_since()) is not None]
        idle.sort(key=lambda one: one[0])
        surplus: list[tuple[int, float, Guest]] = []
        for since, guest in idle:
            # How many its peer has while the older ones of that peer have made room.
            surplus.append((of_peer[guest.peer], since, guest))
            of_peer[guest.peer] -= 1
        surplus.sort(key=lambda one: (-one[0], one[1]))
        self._oldest, self._surplus = deque(idle), deque(surplus)
        return True


def _ends(guest: Guest, since: float, newcomer: Guest) -> bool:
    """End a connection, unless something has come of it since it was looked at."""
    if guest is newcomer or guest.idle_since() != since:
        return False
    guest.make_room()
    return True
