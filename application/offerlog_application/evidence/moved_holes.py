"""The leaves of a tree whose events were moved to other shards, and of which this store cannot say more.

A hole says nothing of its slice. But every move notes the number of events that it took, and the sum of the
squares of their positions. The holes must add up to that: a lost event among them does not.
"""

from collections.abc import Sequence

from offerlog_application.evidence.comparison import SealedLeaf
from offerlog_application.evidence.findings import Finding, FindingKind
from offerlog_application.ports.sealed_tree import ForeignEvents, MovedEvents
from offerlog_application.wording import format_count

_LOOK_THERE = "`offerlog shards verify` compares the events of all servers, and names it"


class MovedHoles:
    """Counts the holes of one audit.

    Args:
        moved: The events that were moved, as the moves have noted them.
    """

    def __init__(self, moved: Sequence[MovedEvents]) -> None:
        self._moved = moved
        self._events = self._digest = 0
        self._first: SealedLeaf | None = None
        self._last: SealedLeaf | None = None

    def take(self, missing: list[SealedLeaf]) -> list[SealedLeaf]:
        """Count the leaves whose events may have been moved; returns the others."""
        if not self._moved:
            return missing
        others: list[SealedLeaf] = []
        for one in missing:
            if not any(part.first <= one.position <= part.last for part in self._moved):
                others.append(one)
                continue
            self._events += 1
            self._digest += one.position**2
            self._first, self._last = self._first or one, one
        return others

    def conclude(self) -> list[Finding]:
        """Return what is wrong with the holes: one finding, or none."""
        moved = sum(one.events for one in self._moved)
        if (self._events, self._digest) == (moved, sum(one.digest for one in self._moved)):
            return []
        first = None if self._first is None else self._first.position
        span = "" if self._first is None or self._last is None else f", up to position {self._last.position}"
        if self._events < moved:
            detail = (
                f"{format_count(moved, 'event')} were moved to other servers, and {self._events:,} are not"
                f" here{span}: some stand here again, or what was noted of a move was changed"
            )
            return [Finding(FindingKind.INSERTED, f"{detail}; {_LOOK_THERE}", first)]
        detail = f"{format_count(self._events, 'event')} that had been sealed are not here{span}, and "
        if self._events > moved:
            detail += f"{moved:,} of them were moved to other servers: {self._events - moved:,} are lost"
        else:
            detail += "they are not the ones that were moved to other servers"
        return [Finding(FindingKind.DELETED, f"{detail}; {_LOOK_THERE}", first)]


def describe_elsewhere(moved: Sequence[MovedEvents], foreign: Sequence[ForeignEvents]) -> list[str]:
    """Say what an audit of one of several stores cannot compare, and where it is."""
    return [
        *(
            f"{format_count(one.events, 'event')} of slice {one.slice:x} moved to shard {one.shard}: only the"
            " leaves are here"
            for one in moved
        ),
        *(
            f"{format_count(one.events, 'event')} of slice {one.slice:x} came from the log of shard"
            f" {one.shard}: the leaves are there"
            for one in foreign
        ),
    ]
