"""Waiting lines, one for each organization. Each line gets an equal share of the service.

The method is start-time fair queueing. Each line has a count of the weight that was served from it. The line
with the smallest count is served next. A line that was empty starts at the count of the line that is served
now. So it does not save up turns, and it does not wait behind a long line. Each step costs O(log n) for n
lines that wait.
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

_MAX_EMPTY: Final = 1_000
"""The most empty lines whose counts are remembered."""


class Weighed(Protocol):
    """An entry of a line."""

    @property
    def organization(self) -> str:
        """The line that it belongs to."""

    @property
    def weight(self) -> int:
        """The amount by which serving it raises the count of its line."""


T = TypeVar("T", bound=Weighed)


@dataclass(slots=True)
class _Line(Generic[T]):
    served: int
    entries: deque[T] = field(default_factory=deque)


class FairQueue(Generic[T]):
    """Entries in order within an organization, organizations by turns; not thread-safe."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line[T]] = {}
        self._order: list[tuple[int, int, _Line[T]]] = []
        self._numbers = count()
        self._serving = 0

    @property
    def lines(self) -> int:
        """Number of organizations that wait."""
        return len(self._order)

    def put(self, entry: T) -> None:
        """Add an entry to the end of its organization's line."""
        line = self._lines.get(entry.organization)
        if line is None:
            line = self._lines[entry.organization] = _Line(self._serving)
        if not line.entries:
            line.served = max(line.served, self._serving)
            heappush(self._order, (line.served, next(self._numbers), line))
        line.entries.append(entry)

    def next_line(self) -> deque[T] | None:
        """Return the entries of the next line; None if no entry waits.

        The caller takes entries from its left end, and then calls `end_turn`.
        """
        return self._order[0][2].entries if self._order else None

    def end_turn(self, weight: int) -> None:
        """Charge the next line for the entries that were taken from it. Then the line served least is next.

        Args:
            weight: The weight to add to the count of the line.
        """
        _, _, line = self._order[0]
        self._serving = line.served
        line.served += weight
        if line.entries:
            heapreplace(self._order, (line.served, next(self._numbers), line))
        else:
            heappop(self._order)
            if len(self._lines) - len(self._order) > _MAX_EMPTY:
                self._lines = {name: line for name, line in self._lines.items() if line.entries}
