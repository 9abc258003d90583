"""The verification of a log: events against leaves, leaves against the tree, the tree against signed roots.

The leaves that are stored are the witness for the events. The tiles above and the checkpoints are the
witnesses for the leaves. So an audit can say which of them was changed.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from offerlog_application.evidence.blanked import BlankedCheck
from offerlog_application.evidence.comparison import (
    Differences,
    compare,
    name_differences,
)
from offerlog_application.evidence.findings import LISTED, AuditReport, Finding, FindingKind
from offerlog_application.evidence.kept_checkpoints import read_checkpoints
from offerlog_application.evidence.moved_holes import MovedHoles, describe_elsewhere
from offerlog_application.evidence.outside_tiles import compare_outside_tiles
from offerlog_application.evidence.signed_roots import SignedRoots
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.sealed_tree import CheckpointArchive, LeafTile, SealedTree
from offerlog_application.ports.signing import SignatureCheck
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import HASH_BYTES, hash_full
from offerlog_domain.transparency.leaves import (
    RawRow,
    StoredRow,
    hash_rows,
    position_of,
    unpack_row,
)
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_domain.transparency.tiles import TILE_BYTES, TILE_WIDTH, Tile, pack_gaps, split_hashes

_CHUNK: Final = 32
"""Tiles of level 0 that are compared at once."""

_BEFORE_ALL: Final = 0
"""Positions begin with 1. Events below are named by themselves."""

_LOST: Final = "the table tree_progress is empty; the tree was compared up to its last tile"
_REPORT_SECONDS: Final = 0.2
_STREAMS_NAMED: Final = 20
_NAMED: Final = 10_000
"""After so many events that differ, further ones are counted and not kept in memory."""
_T = TypeVar("_T")


class Verification:
    """One run of an audit.

    Args:
        tree: The tree, and the log behind it.
        archive: The folder of checkpoints and tiles outside; None without one.
        keys: The keys that may have signed; none to check no signature.
        check: Checks a signature.
        on_progress: Called several times a second.
    """

    def __init__(
        self,
        tree: SealedTree,
        archive: CheckpointArchive | None,
        keys: Sequence[VerifierKey],
        check: SignatureCheck,
        on_progress: Callable[[RebuildProgress], None],
    ) -> None:
        self._tree = tree
        self._blanked = BlankedCheck(tree)
        self._archive = archive
        self._keys = keys
        self._check = check
        self._on_progress = on_progress
        self._report = AuditReport(signatures_checked=bool(keys))
        self._differences = Differences()
        self._sealed, self._found = GrowingTree(), GrowingTree()
        self._has_diverged = False
        self._unnamed = 0
        self._changed_tiles: set[tuple[int, int]] = set()
        self._last_seen = _BEFORE_ALL

    def run(self) -> AuditReport:
        """Compare everything.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            CheckpointFolderError: The folder cannot be read.
        """
        outside = self._archive.checkpoints() if self._archive is not None else ()
        trusted, wrong = read_checkpoints(self._tree.checkpoints(), outside, self._keys, self._check)
        self._report.add(wrong)
        self._report.checkpoints = len(trusted)
        self._report.outside = sum(one.is_outside for one in trusted)
        progress = self._tree.progress()  # behind the checkpoints, so that none can be larger
        moved = self._tree.moved_events()
        self._holes = MovedHoles(moved)
        self._report.elsewhere = describe_elsewhere(moved, self._tree.foreign_events())
        size, self._position = progress.size, progress.position
        self._report.position, self._report.unsealed = progress.position, progress.lag_events
        self._report.unsealed_seconds = progress.lag_seconds
        if progress.is_lost:
            self._report.add([Finding(FindingKind.TILE, _LOST)])
        self._roots = SignedRoots(trusted, size)
        self._compare_log(size)
        self._compare_upper_tiles({t: h for t, h in self._sealed.partial_tiles().items() if t.level})
        self._check_progress(size)
        conclusion = self._roots.conclude(self._tree, self._archive)
        self._report.signed = conclusion.good
        self._report.add(conclusion.findings)
        self._name_differences(conclusion.good, conclusion.good_for_log)
        self._report.add(self._holes.conclude())
        self._name_impossible_rows()
        self._compare_outside(conclusion.good_outside)
        return self._report

    def _name_impossible_rows(self) -> None:
        """Name events at positions that the log never gave: they would never be sealed."""
        for position, stream, version, topic, _ in self._tree.impossible_rows(LISTED + 1):
            detail = "an event stands at a position that the log never gave, where nothing is ever sealed"
            where = (position, str(UUID(bytes=stream)), version, topic)
            self._report.add([Finding(FindingKind.INSERTED, detail, *where)])

    def _compare_outside(self, good: int) -> None:
        """Compare the tiles outside. Where the log itself was rewritten, the findings about it say so."""
        if self._archive is None:
            return
        counts = self._report.counts
        is_same_log = not (counts[FindingKind.REWRITTEN] or counts[FindingKind.TRUNCATED])
        for one in compare_outside_tiles(
            self._tree, self._archive, good, self._changed_tiles, names_others=is_same_log
        ):
            self._report.add([one])

    def _compare_log(self, size: int) -> None:
        """Compare all events that are in the tree with the leaves, page by page."""
        reported = 0.0
        for chunk, rows in _read_ahead(self._read_chunks(size)):
            leaves, unusual = hash_rows(rows)
            if rows:
                self._last_seen = position_of(rows[-1])
            if chunk.is_same(leaves):
                self._check_positions(chunk.tiles, chunk.numbers.start, rows)
                self._grow(leaves, leaves)
            else:
                self._grow(*self._compare_chunk(chunk, [unpack_row(row) for row in rows], leaves))
            self._report.add(self._blanked.check([unpack_row(rows[place]) for place in unusual]))
            self._report.events += len(rows)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported, done = time.monotonic(), min(chunk.numbers.stop * TILE_WIDTH, size)
                self._on_progress(RebuildProgress("comparing", done, size))
        self._on_progress(RebuildProgress("comparing", size, size))

    def _read_chunks(self, size: int) -> Iterator[tuple["_Chunk", Sequence[RawRow]]]:
        """Read the tiles of level 0 and the events that belong to them."""
        count, reached = -(-size // TILE_WIDTH), _BEFORE_ALL
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            tiles = {tile.n: _cut(tile, size) for tile in self._tree.leaf_tiles(start, numbers.stop)}
            chunk = _Chunk(numbers, size, tiles, self._ends_of(tiles, numbers, reached))
            yield chunk, self._tree.raw_rows(reached, chunk.ends[-1])
            reached = chunk.ends[-1]

    def _ends_of(self, tiles: dict[int, LeafTile], numbers: range, reached: int) -> list[int]:
        """Return the position up to which events belong to each tile, also to one that is damaged."""
        known = {n: tile.last for n, tile in tiles.items() if tile.find_positions() is not None}
        ends: list[int] = []
        for n in numbers:
            last = known.get(n)
            if last is None:  # up to the next tile that is not damaged
                behind = self._tree.leaf_tiles(n + 1, n + 2)
                last = behind[0].first - 1 if behind and behind[0].find_positions() else self._position
            reached = max(reached, last)
            ends.append(reached)
        return ends

    def _check_positions(self, tiles: dict[int, LeafTile], start: int, rows: Sequence[RawRow]) -> None:
        """Check what tiles say about the positions of their events, which are the right ones."""
        for n, tile in tiles.items():
            at = (n - start) * TILE_WIDTH
            own = rows[at : at + TILE_WIDTH]
            first, last = position_of(own[0]), position_of(own[-1])
            if (tile.first, tile.last, tile.gaps) == (first, last, None) and last - first == len(own) - 1:
                continue  # without a gap: the positions rise
            positions = [position_of(row) for row in own]
            if (tile.first, tile.last, tile.gaps) != (positions[0], positions[-1], pack_gaps(positions)):
                self._add_tile(Tile(0, n), "its positions were changed; its events are right")

    def _compare_chunk(
        self, chunk: "_Chunk", rows: Sequence[StoredRow], leaves: Sequence[bytes]
    ) -> tuple[list[bytes], list[bytes]]:
        """Compare tile by tile.

        Returns:
            The leaves as they were sealed, as far as that is known; and those of the events as they are, with
            the sealed leaves of what was moved.
        """
        sealed: list[bytes] = []
        found: list[bytes] = []
        positions, at = [row[0] for row in rows], 0
        for n, last in zip(chunk.numbers, chunk.ends, strict=True):
            to = bisect_right(positions, last)
            width = min(TILE_WIDTH, chunk.size - n * TILE_WIDTH)
            own = list(leaves[at:to])
            of_tile = self._compare_tile(chunk.tiles.get(n), Tile(0, n, width), rows[at:to], own)
            sealed += of_tile.sealed
            found += of_tile.found
            at = to
        return sealed, found

    def _compare_tile(
        self, tile: LeafTile | None, place: Tile, rows: Sequence[StoredRow], leaves: list[bytes]
    ) -> "_Leaves":
        """Compare one tile with the events in its range."""
        width = place.width
        if tile is None or len(tile.hashes) != width * HASH_BYTES:
            self._add_tile(place, "it is missing" if tile is None else f"it does not have {width} hashes")
            return _Leaves([*leaves[:width], *[bytes(HASH_BYTES)] * (width - len(leaves))], leaves)
        positions = tile.find_positions()
        stored, now = split_hashes(tile.hashes), b"".join(leaves)
        if positions is None:
            self._add_tile(place, "its positions were changed")
            if len(rows) != width:
                return _Leaves(stored, leaves)
            positions = [row[0] for row in rows]
        found = compare(tile, positions, rows, leaves)
        missing = len(found.missing)
        found.missing = self._holes.take(found.missing)
        if not found:  # what was moved is in the log, as it was sealed
            return _Leaves(stored, leaves if len(found.missing) == missing else stored)
        if self._parent_says(tile, now):
            self._add_tile(place, "its hashes were changed: the events fit the tile above it")
            return _Leaves(leaves, leaves)
        if self._differences.count < _NAMED:
            self._differences.strays += found.strays
            self._differences.missing += found.missing
        else:
            self._unnamed += found.count
        return _Leaves(stored, leaves)

    def _parent_says(self, tile: LeafTile, now: bytes) -> bool:
        """Return True if the tile above fits the events as they are now, and not the tile."""
        if not len(tile.hashes) == len(now) == TILE_BYTES:
            return False
        at = tile.n % TILE_WIDTH * HASH_BYTES
        above = self._tree.tile(1, tile.n // TILE_WIDTH)[at : at + HASH_BYTES]
        return hash_full(now) == above != hash_full(tile.hashes)

    def _grow(self, sealed: Sequence[bytes], found: Sequence[bytes]) -> None:
        """Add leaves to the tree as it was sealed, and to the tree of the events as they are."""
        if self._differences and not self._has_diverged:
            self._has_diverged, self._found = True, self._sealed.copy()
        upper = self._roots.grow(self._sealed, sealed)
        self._compare_upper_tiles(upper)
        if self._has_diverged:
            self._roots.grow(self._found, found, of_log=True)

    def _compare_upper_tiles(self, computed: dict[Tile, bytes]) -> None:
        """Compare stored tiles above level 0 with what the level below gives."""
        stored = self._tree.tiles(list(computed)) if computed else {}
        for tile, hashes in computed.items():
            kept = stored.get((tile.level, tile.n), b"")[: len(hashes)]
            if kept == hashes:
                continue
            if len(kept) < len(hashes):
                self._add_tile(tile, "it is missing, or lacks hashes")
                continue
            pairs = zip(split_hashes(kept), split_hashes(hashes), strict=True)
            below = [
                Tile(tile.level - 1, tile.n * TILE_WIDTH + number).path
                for number, (one, other) in enumerate(pairs)
                if one != other
            ]
            self._add_tile(tile, f"it does not fit the tiles below it: {', '.join(below[:_STREAMS_NAMED])}")

    def _check_progress(self, size: int) -> None:
        """Check that the progress of the tree is that of its tiles. Others may seal meanwhile."""
        count = -(-size // TILE_WIDTH)
        last = self._tree.leaf_tiles(count - 1, count) if count else ()
        behind = self._tree.leaf_tiles(count, count + 1)
        if self._tree.progress().size > size:  # read last: if it is as before, so was what was read
            return
        if behind:
            self._add_tile(Tile(0, count), "the table tree_progress says that the tree ends before it")
        for tile in last:
            width = size - tile.n * TILE_WIDTH
            if tile.last != self._position or len(tile.hashes) != width * HASH_BYTES:
                self._add_tile(Tile(0, tile.n, width), "it does not end where the table tree_progress says")

    def _name_differences(self, good: int, good_for_log: int) -> None:
        """Name the events that differ. Where a checkpoint speaks for the events, the tile is what changed."""
        if not self._differences:
            return
        if good_for_log > good:
            indexes = [one.leaf_index for one in self._differences.missing]
            indexes += [one.sealed.leaf_index for one in self._differences.strays if one.sealed is not None]
            for n in sorted({index // TILE_WIDTH for index in indexes}):
                self._add_tile(Tile(0, n), "its hashes were changed: the events are those that were signed")
            return
        broken = self._tree.broken_streams(_STREAMS_NAMED) if self._differences.missing else ()
        self._report.add(name_differences(self._differences, self._last_seen, broken))
        if self._unnamed:
            detail = f"{self._unnamed:,} more events behind these differ from what was sealed"
            self._report.add([Finding(FindingKind.EDITED, detail)])

    def _add_tile(self, tile: Tile, detail: str) -> None:
        self._changed_tiles.add((tile.level, tile.n))
        self._report.add([Finding(FindingKind.TILE, detail, tile=tile.path)])


class _Leaves(NamedTuple):
    """The leaves of a tile: as they were sealed, and as the events are now."""

    sealed: list[bytes]
    found: list[bytes]


class _Chunk(NamedTuple):
    """Some tiles of level 0 that are compared at once.

    Attributes:
        numbers: Their numbers.
        size: Size of the tree.
        tiles: Those that are there.
        ends: For each, the position up to which events belong to it.
    """

    numbers: range
    size: int
    tiles: dict[int, LeafTile]
    ends: list[int]

    def is_same(self, leaves: Sequence[bytes]) -> bool:
        """Return True if all tiles are there and hold these leaves."""
        stored = b"".join([self.tiles[n].hashes for n in self.numbers if n in self.tiles])
        wanted = min(self.numbers.stop * TILE_WIDTH, self.size) - self.numbers.start * TILE_WIDTH
        return len(stored) == wanted * HASH_BYTES and stored == b"".join(leaves)


def _read_ahead(chunks: Iterator[_T]) -> Iterator[_T]:
    """Read one chunk while the one before is compared: the store and this process work at the same time."""
    with ThreadPoolExecutor(1, "offerlog-audit") as reader:
        following = reader.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = reader.submit(next, chunks, None)
            yield chunk


def _cut(tile: LeafTile, size: int) -> LeafTile:
    """Return a tile as it is in the tree of a size: others may have added to it meanwhile."""
    width, stored = size - tile.n * TILE_WIDTH, len(tile.hashes) // HASH_BYTES
    if stored <= width:
        return tile
    positions = tile.find_positions()
    hashes = tile.hashes[: width * HASH_BYTES]
    if positions is None:
        return tile._replace(hashes=hashes)
    kept = positions[:width]
    return LeafTile(tile.n, kept[0], kept[-1], pack_gaps(kept), hashes)
