"""The tree of one shard, with the events of its log wherever they lie by now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Final
from uuid import UUID

from offerlog_application.evidence.findings import AuditReport
from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.positions import SHARD_BITS, begin_of_shard, shard_of_position
from offerlog_application.ports.sealed_tree import (
    ForeignEvents,
    KeptCheckpoint,
    LeafTile,
    MovedEvents,
    SealedTree,
    TreeProgress,
)
from offerlog_domain.transparency.leaves import RawRow, StoredRow
from offerlog_domain.transparency.tiles import Tile

_PLACED: Final = 100
"""Most findings whose places are looked for."""

_get_position = itemgetter(0)
"""Of a `RawRow` it is the head, which begins with the position."""


class JoinedTree:
    """The application's `SealedTree` of a shard, over the stores of all shards; thread-safe.

    Each event is looked for in all of them: so an audit or a proof misses none that was moved, and an event
    that two stores hold is there twice. No slice is to move meanwhile.

    Args:
        shard: The number of the shard.
        trees: The trees of all shards, by number.
    """

    def __init__(self, shard: int, trees: Mapping[int, SealedTree]) -> None:
        self._shard = shard
        self._own = trees[shard]
        self._others = [tree for number, tree in sorted(trees.items()) if number != shard]
        self._all = [self._own, *self._others]

    def progress(self) -> TreeProgress:
        """Return how far the log of the shard is in the tree."""
        return self._own.progress()

    def last_position(self) -> int:
        """Return the last position of the shard that its store holds."""
        return self._own.last_position()

    def tile(self, level: int, n: int) -> bytes:
        """Return the hashes of a tile; empty if the tree does not have it."""
        return self._own.tile(level, n)

    def tiles(self, wanted: Sequence[Tile]) -> Mapping[tuple[int, int], bytes]:
        """Return the hashes of tiles by level and number."""
        return self._own.tiles(wanted)

    def leaf_tiles(self, start: int, end: int) -> Sequence[LeafTile]:
        """Return the tiles of level 0 from number `start` to before `end`."""
        return self._own.leaf_tiles(start, end)

    def leaf_tile_of(self, position: int) -> LeafTile | None:
        """Return the last tile of level 0 that does not begin behind a position."""
        return self._own.leaf_tile_of(position)

    def rows(self, after: int, until: int) -> Sequence[StoredRow]:
        """Return the events of the shard behind a position and up to another, from all stores, in order."""
        return sorted(chain.from_iterable(one.rows(after, until) for one in self._all), key=_get_position)

    def raw_rows(self, after: int, until: int) -> Sequence[RawRow]:
        """Return the same events in bytes."""
        found = [one.raw_rows(after, until) for one in self._all]
        if not any(found[1:]):
            return found[0]
        return sorted(chain.from_iterable(found), key=_get_position)

    def erasures(self, streams: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the position of the `VisitorErased` in each of these streams, from whatever store has it."""
        return {stream: at for one in self._all for stream, at in one.erasures(streams).items()}

    def impossible_rows(self, limit: int) -> Sequence[StoredRow]:
        """Return events at positions that they cannot have.

        Also those of the shard that another store holds, and that are not in the tree: a move waits until all
        events of the slice are there.
        """
        begin = self._shard << SHARD_BITS
        sealed, end = max(self._own.progress().position, begin), begin + (1 << SHARD_BITS) - 1
        assert begin_of_shard(sealed) == begin  # noqa: S101 - a tree has the positions of one shard
        unsealed = chain.from_iterable(one.rows(sealed, end)[:limit] for one in self._others)
        return [*self._own.impossible_rows(limit), *unsealed]

    def moved_events(self) -> Sequence[MovedEvents]:
        """Return nothing: what was moved is read where it lies."""
        return ()

    def foreign_events(self) -> Sequence[ForeignEvents]:
        """Return nothing: the trees of the other shards have the leaves, and each is audited by itself."""
        return ()

    def checkpoints(self) -> Iterator[KeptCheckpoint]:
        """Return the checkpoints in the store of the shard, the smallest first."""
        return self._own.checkpoints()

    def newest_checkpoint(self, origin: str) -> KeptCheckpoint | None:
        """Return the largest checkpoint of an origin in the store of the shard."""
        return self._own.newest_checkpoint(origin)

    def add_checkpoint(self, origin: str, size: int, signed_at: datetime, text: str) -> None:
        """Keep a checkpoint in the store of the shard."""
        self._own.add_checkpoint(origin, size, signed_at, text)

    def tombstones(self, behind: int) -> Sequence[tuple[int, Tombstone]]:
        """Return the visitors who were erased at the shard, with the numbers of their erasures."""
        return self._own.tombstones(behind)

    def is_retired(self, origin: str) -> bool:
        """Return True if nothing may be signed under this name any more."""
        return self._own.is_retired(origin)

    def broken_streams(self, limit: int) -> Sequence[str]:
        """Return streams of which an event is missing, of all stores: each has whole streams."""
        return sorted({stream for one in self._all for stream in one.broken_streams(limit)})[:limit]


def name_places(report: AuditReport, trees: Mapping[int, SealedTree]) -> AuditReport:
    """Name the shards that hold an event at the position of a finding, if it is not the usual one alone.

    Args:
        report: The report of an audit over a `JoinedTree`.
        trees: The trees of all shards, by number.
    """
    for place, one in enumerate(report.findings[:_PLACED]):
        if one.position is None:
            continue
        found = [
            number for number, tree in sorted(trees.items()) if tree.rows(one.position - 1, one.position)
        ]
        if found and found != [shard_of_position(one.position)]:
            where = f"shard {found[0]}" if len(found) == 1 else f"shards {' and '.join(map(str, found))}"
            report.findings[place] = replace(one, detail=f"{one.detail}; held by {where}")
    return report
