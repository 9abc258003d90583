"""The roots that were signed, compared with the tree as it grows again."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.evidence.findings import Finding, FindingKind
from offerlog_application.evidence.kept_checkpoints import TrustedCheckpoint
from offerlog_application.ports.sealed_tree import CheckpointArchive, LeafTile, SealedTree
from offerlog_application.wording import format_count
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.tiles import TILE_WIDTH, Tile, split_hashes

_PINNED: Final = 100
"""Most events that are named with the help of tiles outside."""


class Conclusion(NamedTuple):
    """The result of comparing the checkpoints with the tree.

    Attributes:
        good: Size of the largest checkpoint that the tree fits; 0 without any.
        good_outside: The same of those outside of the store.
        good_for_log: Size of the largest checkpoint that the events fit, and the stored leaves do not.
        findings: The checkpoints that neither fits.
    """

    good: int
    good_outside: int
    good_for_log: int
    findings: list[Finding]


class SignedRoots:
    """The checkpoints of one audit.

    Args:
        trusted: The checkpoints, the smallest first.
        size: Size of the tree.
    """

    def __init__(self, trusted: Sequence[TrustedCheckpoint], size: int) -> None:
        self._trusted = trusted
        self._size = size
        self._due = sorted({one.checkpoint.size for one in trusted if one.checkpoint.size <= size})
        self._roots: dict[int, bytes] = {}
        self._roots_of_log: dict[int, bytes] = {}
        if self._due and self._due[0] == 0:
            self._roots[0] = GrowingTree().root()

    def grow(self, tree: GrowingTree, leaves: Sequence[bytes], *, of_log: bool = False) -> dict[Tile, bytes]:
        """Add leaves to a tree, and note its root at every size that was signed.

        Args:
            tree: The tree.
            leaves: The leaves.
            of_log: True if it is the tree of the events as they are now.

        Returns:
            The full tiles above level 0 that are complete now.
        """
        roots = self._roots_of_log if of_log else self._roots
        start, upper, done = tree.size, dict[Tile, bytes](), 0
        stops = [size - start for size in self._due if start < size <= start + len(leaves)]
        for stop in [*stops, len(leaves)]:
            changed = tree.append(leaves[done:stop])
            upper |= {tile: hashes for tile, hashes in changed.items() if tile.level and tile.is_full}
            done = stop
            if stop in stops:
                roots[start + stop] = tree.root()
        return upper

    def conclude(self, tree: SealedTree, archive: CheckpointArchive | None) -> Conclusion:
        """Compare all signed roots with those of the tree, which has been grown to its full size."""
        good = good_outside = good_for_log = 0
        wrong: list[TrustedCheckpoint] = []
        longer: list[TrustedCheckpoint] = []
        for one in self._trusted:
            size, root = one.checkpoint.size, one.checkpoint.root
            if size > self._size:
                longer.append(one)
            elif self._roots.get(size) == root:
                good = max(good, size)
                good_outside = max(good_outside, size) if one.is_outside else good_outside
            elif self._roots_of_log.get(size) == root:
                good_for_log = max(good_for_log, size)
            else:
                wrong.append(one)
        findings: list[Finding] = []
        if wrong:
            findings += self._name_rewritten(wrong, good, tree, archive)
        if longer:
            findings.append(self._name_truncated(longer))
        return Conclusion(good, good_outside, good_for_log, findings)

    def _name_truncated(self, longer: Sequence[TrustedCheckpoint]) -> Finding:
        largest = longer[-1]
        return Finding(
            FindingKind.TRUNCATED,
            f"{largest.place} has {format_count(largest.checkpoint.size, 'event')}, and the tree has"
            f" {self._size:,}: the last ones are gone from the log and from the tree, or an older backup was"
            " restored",
        )

    def _name_rewritten(
        self,
        wrong: Sequence[TrustedCheckpoint],
        good: int,
        tree: SealedTree,
        archive: CheckpointArchive | None,
    ) -> list[Finding]:
        """Name the span that was rewritten; and with the tiles outside, the events."""
        first = wrong[0]
        good = max([size for size in self._good_sizes() if size < first.checkpoint.size], default=0)
        start, end = good // TILE_WIDTH, -(-first.checkpoint.size // TILE_WIDTH)
        first_tile, last_tile = tree.leaf_tiles(start, start + 1), tree.leaf_tiles(end - 1, end)
        span = ""
        if first_tile and last_tile:
            span = f", at positions {first_tile[0].first} to {last_tile[0].last}"
        more = f" ({len(wrong) - 1} more checkpoints differ)" if len(wrong) > 1 else ""
        found = [
            Finding(
                FindingKind.REWRITTEN,
                f"{first.place} was signed over other events: something between event {good:,} and event"
                f" {first.checkpoint.size:,} of the log was changed since{span}{more}",
                tile=Tile(0, start).path,
            )
        ]
        if archive is not None:
            found += _pin(tree, archive, start, end)
        return found

    def _good_sizes(self) -> list[int]:
        return [
            one.checkpoint.size
            for one in self._trusted
            if self._roots.get(one.checkpoint.size) == one.checkpoint.root
        ]


def _pin(tree: SealedTree, archive: CheckpointArchive, start: int, end: int) -> list[Finding]:
    """Name the events whose leaves differ from the tiles outside, at most `_PINNED`."""
    newest = archive.newest()
    try:
        size = SignedCheckpoint.parse(newest.text).checkpoint.size if newest is not None else 0
    except NoteError:  # its own finding says so
        return []
    found: list[Finding] = []
    for n in range(start, min(end, -(-size // TILE_WIDTH))):
        outside = archive.tile(Tile(0, n, min(TILE_WIDTH, size - n * TILE_WIDTH)))
        inside = tree.leaf_tiles(n, n + 1)
        if outside is not None and inside:
            found += _compare_outside(tree, inside[0], outside)
        if len(found) >= _PINNED:
            break
    return found[:_PINNED]


def _compare_outside(tree: SealedTree, tile: LeafTile, outside: bytes) -> list[Finding]:
    """Name the events of a tile whose leaves differ from those of the same tile outside."""
    inside, positions = split_hashes(tile.hashes), tile.find_positions()
    found = []
    for number, leaf in enumerate(split_hashes(outside)):
        if number < len(inside) and inside[number] == leaf:
            continue
        position = positions[number] if positions is not None and number < len(positions) else None
        rows = tree.rows(position - 1, position) if position is not None else ()
        stream, version, topic = (str(UUID(bytes=rows[0][1])), *rows[0][2:4]) if rows else (None, None, None)
        detail = (
            f"event {tile.n * TILE_WIDTH + number:,} of the log is not the one whose leaf is kept outside"
        )
        path = Tile(0, tile.n).path
        found.append(Finding(FindingKind.REWRITTEN, detail, position, stream, version, topic, path))
    return found
