"""The tiles in a folder outside of the store, compared with those of the tree."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

from offerlog_application.evidence.findings import Finding, FindingKind
from offerlog_application.ports.sealed_tree import CheckpointArchive, KeptTile, SealedTree
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.tiles import TILE_WIDTH, Tile

_READ_AT_ONCE: Final = 64
"""Number of tiles that are read from the store together."""


def compare_outside_tiles(
    tree: SealedTree,
    archive: CheckpointArchive,
    good: int,
    passed_over: Collection[tuple[int, int]],
    *,
    names_others: bool,
) -> Iterator[Finding]:
    """Name each tile outside that differs from the same tile of the store.

    Call it after the tiles of the store were compared with the events, so that those can be trusted.

    Args:
        tree: The tree.
        archive: The folder outside.
        good: Size of the largest checkpoint outside that the tree fits. Those in the store cannot speak
            against a file outside.
        passed_over: Level and number of the tiles of the store that were changed: nothing is compared there.
        names_others: False to compare only tiles that a good checkpoint covers, because it is known already
            that the tree behind it is not the one that was signed.
    """
    outside = archive.tiles()
    while some := list(islice(outside, _READ_AT_ONCE)):
        stored = tree.tiles([kept.tile for kept in some])
        for kept in some:
            place = kept.tile.level, kept.tile.n
            is_covered = _last_leaf(kept.tile) <= good
            if place in passed_over or not (is_covered or names_others):
                continue
            if not _is_start(kept, stored.get(place, b"")):
                yield _describe(kept, is_covered=is_covered)


def _is_start(kept: KeptTile, stored: bytes) -> bool:
    """Return True if a tile is whole, and the stored one begins with it."""
    return len(kept.hashes) == kept.tile.width * HASH_BYTES and stored.startswith(kept.hashes)


def _last_leaf(tile: Tile) -> int:
    """Return the number of leaves that a tree must have to hold this tile."""
    return int((tile.n * TILE_WIDTH + tile.width) * TILE_WIDTH**tile.level)


def _describe(kept: KeptTile, *, is_covered: bool) -> Finding:
    if is_covered:
        detail = f"{kept.place} was changed: the log fits what was signed, and this file does not"
        return Finding(FindingKind.TILE, detail, tile=kept.tile.path)
    detail = (
        f"{kept.place} is not the tile of the store: the file was changed, or log and tree were changed"
        " since it was written"
    )
    return Finding(FindingKind.REWRITTEN, detail, tile=kept.tile.path)
