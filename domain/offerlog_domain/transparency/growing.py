"""A tree that grows leaf by leaf, from its right edge alone: what is left of it never changes again."""

from collections.abc import Mapping, Sequence

from offerlog_domain.transparency.hashing import EMPTY_ROOT, HASH_BYTES, hash_full, hash_tree
from offerlog_domain.transparency.tiles import TILE_BYTES, TILE_WIDTH, Tile, split_hashes


class GrowingTree:
    """The right edge of a tree: its partial tile of each level.

    Args:
        size: Number of leaves so far.
        edge: The hashes of the partial tile of each level that has one.

    Attributes:
        size: Number of leaves.

    Raises:
        ValueError: The edge is not that of a tree of this size.
    """

    def __init__(self, size: int = 0, edge: Mapping[int, bytes] | None = None) -> None:
        self.size = size
        self._edge: list[bytes] = []
        at_level, level, given = size, 0, dict(edge or {})
        while at_level:
            at_level, width = divmod(at_level, TILE_WIDTH)
            hashes = given.pop(level, b"")
            if len(hashes) != width * HASH_BYTES:
                raise ValueError(
                    f"the partial tile of level {level} of a tree of {size} leaves has {width} hashes"
                )
            self._edge.append(hashes)
            level += 1
        if given:
            raise ValueError(f"a tree of {size} leaves has no partial tile of level {max(given)}")

    def append(self, leaves: Sequence[bytes]) -> dict[Tile, bytes]:
        """Add leaf hashes.

        Returns:
            Every tile that changed, with all of its hashes.
        """
        changed: dict[Tile, bytes] = {}
        before, self.size = self.size, self.size + len(leaves)
        new, level = b"".join(leaves), 0
        while new:
            if level == len(self._edge):
                self._edge.append(b"")
            n = before // TILE_WIDTH
            hashes, new = self._edge[level] + new, b""
            while len(hashes) >= TILE_BYTES:
                full, hashes = hashes[:TILE_BYTES], hashes[TILE_BYTES:]
                changed[Tile(level, n)] = full
                new += hash_full(full)
                n += 1
            if hashes:
                changed[Tile(level, n, len(hashes) // HASH_BYTES)] = hashes
            self._edge[level] = hashes
            before, level = before // TILE_WIDTH, level + 1
        return changed

    def copy(self) -> "GrowingTree":
        """Return a tree of the same leaves that grows by itself."""
        return GrowingTree(self.size, dict(enumerate(self._edge)))

    def partial_tiles(self) -> dict[Tile, bytes]:
        """Return the partial tiles with their hashes."""
        return {
            Tile(level, self.size // TILE_WIDTH ** (level + 1), len(hashes) // HASH_BYTES): hashes
            for level, hashes in enumerate(self._edge)
            if hashes
        }

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        below: list[bytes] = []  # the root of what is below this level and not in a full tile
        for hashes in self._edge:
            nodes = [*split_hashes(hashes), *below]
            below = [hash_tree(nodes)] if nodes else []
        return below[0] if below else EMPTY_ROOT
