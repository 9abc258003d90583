"""Counts and digests by slice, which prove that a projection has applied every event once."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from uuid import UUID

SLICES: Final = 16
"""Number of parts of the streams, by the first four bits of their ids."""

_SHIFT: Final = 124


class SliceProof(NamedTuple):
    """The events of one slice that a projection has applied.

    Attributes:
        events: Number of events.
        digest: The sum of the squares of their positions: with the number, it tells any event left out
            or taken twice, and does not depend on the order.
    """

    events: int
    digest: int


def prove(events: Iterable[tuple[int, UUID]]) -> Mapping[int, SliceProof]:
    """Return what events, given by position and stream, add to the proof of each slice."""
    counts, digests = [0] * SLICES, [0] * SLICES
    for position, stream in events:
        number = stream.int >> _SHIFT
        counts[number] += 1
        digests[number] += position * position
    return {number: SliceProof(counts[number], digests[number]) for number in range(SLICES) if counts[number]}
