"""Positions that callers keep: one number for one server, several for several servers."""

from collections.abc import Iterable, Mapping
from typing import Final

from offerlog_domain.errors import ArgumentError

SHARD_BITS: Final = 40
"""A position has the number of its shard above so many bits, which the shard counts up."""


class PositionVector(tuple[int, ...]):
    """The positions of several logs, one for each shard that has some part in an answer.

    A position belongs to its shard alone, so those of two shards are never compared nor added.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return ".".join(map(str, self))


class UnknownPositionError(ArgumentError):
    """A position that this log cannot read on from: it is not one of it."""

    def __init__(self, message: str) -> None:
        super().__init__("after", message)


_MOST_PARTS: Final = 64
_MOST_DIGITS: Final = 16
_MAX_POSITION: Final = 2**53 - 1


LogPosition = int | PositionVector
"""A position as callers keep it: hand it back as it is. With one server, it is a number."""


def parse_position(text: str) -> LogPosition | None:
    """Return the position that a text holds, as `str` has written it; None if it is not one."""
    parts = text.split(".", _MOST_PARTS)
    if not all(one.isascii() and one.isdecimal() and len(one) <= _MOST_DIGITS for one in parts):
        return None
    found = [int(one) for one in parts]
    if max(found) > _MAX_POSITION or len(by_shard(PositionVector(found))) < len(found):
        return None
    return PositionVector(sorted(found)) if len(found) > 1 else found[0]


def only_position(position: LogPosition) -> int:
    """Return a position of the only log.

    Raises:
        UnknownPositionError: It is one of several logs.
    """
    if isinstance(position, int):
        return position
    raise UnknownPositionError(f"after: {position} is a position of several servers, and this is one")


def by_shard(position: LogPosition) -> Mapping[int, int]:
    """Return the positions that a caller's position is made of, by the number of the shard."""
    return {shard_of_position(one): one for one in split_position(position)}


def is_up_to(position: LogPosition, end: LogPosition) -> bool:
    """Return True if a position lies behind another one in no log."""
    ends = by_shard(end)
    return all(one <= ends.get(shard, shard << SHARD_BITS) for shard, one in by_shard(position).items())


def count_all_positions(behind: LogPosition, last: LogPosition) -> int:
    """Return the number of positions behind one, up to another, of all logs together."""
    begins = by_shard(behind)
    return sum(
        max(one - max(begins.get(shard, 0), shard << SHARD_BITS), 0) for shard, one in by_shard(last).items()
    )


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


def earliest_position(positions: Iterable[LogPosition]) -> LogPosition | None:
    """Return the first of these positions in each log, as one; None if there is none."""
    parts = [by_shard(one) for one in positions]
    shards = sorted({shard for one in parts for shard in one})
    return latest_position(min(one.get(shard, shard << SHARD_BITS) for one in parts) for shard in shards)


def shard_of_position(position: int) -> int:
    """Return the number of the shard that has drawn a position; 0 where there is one server."""
    return position >> SHARD_BITS


def begin_of_shard(position: int) -> int:
    """Return the position before the first one of the shard that has drawn a position."""
    return position >> SHARD_BITS << SHARD_BITS
