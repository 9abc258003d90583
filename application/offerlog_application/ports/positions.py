"""Positions that callers keep: one number for one server, several for several servers."""

from collections.abc import Iterable
from typing import Final

SHARD_BITS: Final = 40
"""A position has the number of its shard above so many bits, which the shard counts up."""


class PositionVector(tuple[int, ...]):
    """The positions of several logs, one for each shard that has some part in an answer.

    A position belongs to its shard alone, so those of two shards are never compared nor added.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return ".".join(map(str, self))


LogPosition = int | PositionVector
"""A position as callers keep it: hand it back as it is. With one server, it is a number."""


def split_position(position: LogPosition) -> tuple[int, ...]:
    """Return the positions that a caller's position is made of, one for each log."""
    return (position,) if isinstance(position, int) else tuple(position)


def latest_position(positions: Iterable[LogPosition | None]) -> LogPosition | None:
    """Return the last of these positions in each log, as one; None if there is none."""
    latest: dict[int, int] = {}
    for position in positions:
        for one in () if position is None else split_position(position):
            shard = shard_of_position(one)
            latest[shard] = max(one, latest.get(shard, one))
    found = sorted(latest.values())
    if len(found) > 1:
        return PositionVector(found)
    return found[0] if found else None


def shard_of_position(position: int) -> int:
    """Return the number of the shard that has drawn a position; 0 where there is one server."""
    return position >> SHARD_BITS


def begin_of_shard(position: int) -> int:
    """Return the position before the first one of the shard that has drawn a position."""
    return position >> SHARD_BITS << SHARD_BITS
