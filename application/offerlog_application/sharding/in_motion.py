"""Slices that move between shards while somebody asks: how long to wait, and what does not add up."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from offerlog_application.ports.shards import HeldSlices, ShardMap, SliceInMotionError
from offerlog_domain.stream_ids import SLICES

PATIENCE_SECONDS: Final = 5.0
"""Seconds for which a signal or a question of one visitor waits for the owner of its slice."""

ADDING_SECONDS: Final = 20.0
"""Seconds for which a report waits until no slice is counted twice: the source deletes its rows meanwhile."""

_PAUSES: Final = (0.004, 0.25)
"""Seconds between two attempts: at least, and at most."""

_SHARE: Final = 8
"""A pause is this part of the time so far: so nobody waits much longer than the slice is on its way."""


class Patience:
    """The pauses between attempts that meet a slice on its way.

    Args:
        seconds: How long to try.
    """

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._until = self._began + seconds

    def pause(self, shard_map: ShardMap, slices: Sequence[int]) -> None:
        """Wait for a moment, in the calling thread.

        Args:
            shard_map: Says which shard should have the slices.
            slices: The slices that are on their way.

        Raises:
            SliceInMotionError: The time is over.
        """
        time.sleep(self.next_pause(shard_map, slices))

    def next_pause(self, shard_map: ShardMap, slices: Sequence[int]) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            shard_map: As in `pause`.
            slices: Likewise.

        Raises:
            SliceInMotionError: The time is over.
        """
        now = time.monotonic()
        if now >= self._until:
            raise SliceInMotionError(shard_map.shards[slices[0]], slices)
        least, most = _PAUSES
        return min(max((now - self._began) / _SHARE, least), most)


def find_in_motion(held: Sequence[HeldSlices]) -> Sequence[int]:
    """Return the slices that these shards do not have exactly once, ascending.

    A shard has the rows of a slice that it owns, and of one that leaves it.
    """
    counted = Counter(one for shard in held for one in (*shard.owned, *shard.leaving))
    return [one for one in range(SLICES) if counted[one] != 1]


def find_changed(before: Sequence[HeldSlices], after: Sequence[HeldSlices]) -> Sequence[int]:
    """Return the slices that have changed hands between two answers of the same shards; at least one."""
    changed = {
        one
        for first, second in zip(before, after, strict=True)
        for one in range(SLICES)
        if first.epochs[one] != second.epochs[one] or one in first.leaving ^ second.leaving
    }
    return sorted(changed)
