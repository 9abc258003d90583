"""Counts of what is open now: connections, streams, waiting clients."""

from collections import Counter
from typing import Protocol


class OpenCounts(Protocol):
    """Counts by name, over all processes of the service. One thread of a process counts."""

    def enter(self, name: str) -> int:
        """Count one in, and return the number now."""

    def leave(self, name: str) -> None:
        """Count one out."""

    def of(self, name: str) -> int:
        """Return the number now."""


class LocalCounts:
    """The counts of a service that has one process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, name: str) -> int:
        """Count one in, and return the number now."""
        self._open[name] += 1
        return self._open[name]

    def leave(self, name: str) -> None:
        """Count one out."""
        self._open[name] -= 1
        if self._open[name] <= 0:
            del self._open[name]

    def of(self, name: str) -> int:
        """Return the number now."""
        return self._open[name]
