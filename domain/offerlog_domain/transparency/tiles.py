"""The tiles in which the tree is kept (C2SP tlog-tiles): up to 256 hashes of one level, side by side.

The tile `n` of level 0 holds the leaves from `256 * n` on. A hash of level `l + 1` is the root of a full tile
of level `l`. The levels between are computed from the hashes of a tile.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.hashing import HASH_BYTES

TILE_WIDTH: Final = 256
"""Hashes of a full tile."""

TILE_HEIGHT: Final = 8
"""Levels of the tree from one level of tiles to the next."""

TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
"""Bytes of a full tile."""

_PATH: Final = re.compile(
    r"tile/(0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)
_HIGHEST_LEVEL: Final = 63
_LOW_BITS: Final = 0x7F
_MORE: Final = 0x80
"""The bit of LEB128 that says that more bytes follow, and the others."""


class Tile(NamedTuple):
    """The place of a tile.

    Attributes:
        level: Its level, from 0.
        n: Its number in the level, from 0.
        width: Number of hashes in it, from 1 to 256. Less than 256: the tile is partial.
    """

    level: int
    n: int
    width: int = TILE_WIDTH

    @property
    def is_full(self) -> bool:
        """True if no hash can be added to it."""
        return self.width == TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the place where the tiles of a log are published."""
        digits = f"{self.n:03d}"
        digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        place = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        return f"tile/{self.level}/{place}" + ("" if self.is_full else f".p/{self.width}")


def read_tile_path(path: str) -> Tile:
    """Return the tile of a path.

    Raises:
        NoteError: The path names no tile.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise NoteError(f"{path!r} is not the path of a tile")
    level, n = int(found[1]), int(found[2].replace("x", "").replace("/", ""))
    tile = Tile(level, n, int(found[3]) if found[3] else TILE_WIDTH)
    if level > _HIGHEST_LEVEL or tile.path != path or tile.width > TILE_WIDTH:
        raise NoteError(f"{path!r} is not the path of a tile")
    return tile


def list_tiles(size: int, *, since: int = 0) -> Iterator[Tile]:
    """List the tiles of the tree of a size, level by level, that the tree of an earlier size did not have.

    Args:
        size: Number of leaves.
        since: The earlier number of leaves; 0 for all tiles.
    """
    level = 0
    while size:
        full, rest = divmod(size, TILE_WIDTH)
        for n in range(since // TILE_WIDTH, full):
            yield Tile(level, n)
        if rest and size > since:
            yield Tile(level, full, rest)
        size, since, level = full, since // TILE_WIDTH, level + 1


def list_proof_tiles(index: int, size: int) -> list[Tile]:
    """List the tiles that a proof of inclusion is made from: those above the leaf, and the right edge.

    Args:
        index: The leaf, counted from 0.
        size: Number of leaves of the tree.
    """
    wanted: dict[Tile, None] = {}
    level = 0
    while size:
        full, rest = divmod(size, TILE_WIDTH)
        if index < size:
            n = index // TILE_WIDTH
            wanted[Tile(level, n, TILE_WIDTH if n < full else rest)] = None
        if rest:
            wanted[Tile(level, full, rest)] = None
        index, size, level = index // TILE_WIDTH, full, level + 1
    return list(wanted)


def split_hashes(hashes: bytes) -> list[bytes]:
    """Split the hashes of a tile."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def pack_gaps(positions: Sequence[int]) -> bytes | None:
    """Pack the gaps between the positions of the events of a tile.

    Args:
        positions: In ascending order, at least one.

    Returns:
        For each position but the first, the number of positions skipped before it, in LEB128. None if no
        position is skipped.
    """
    if positions[-1] - positions[0] == len(positions) - 1:
        return None
    packed = bytearray()
    for before, position in pairwise(positions):
        gap = position - before - 1
        while gap > _LOW_BITS:
            packed.append(gap & _LOW_BITS | _MORE)
            gap >>= 7
        packed.append(gap)
    return bytes(packed)


def unpack_positions(first: int, width: int, gaps: bytes | None) -> list[int]:
    """Return the positions of the events of a tile.

    Args:
        first: The first one.
        width: Number of events.
        gaps: What `pack_gaps` returned.

    Raises:
        NoteError: The gaps are not of so many events.
    """
    if gaps is None:
        return list(range(first, first + width))
    positions, gap, shift = [first], 0, 0
    for byte in gaps:
        gap |= (byte & _LOW_BITS) << shift
        shift += 7
        if byte < _MORE:
            positions.append(positions[-1] + gap + 1)
            gap = shift = 0
    if len(positions) != width or shift:
        raise NoteError(f"the gaps of a tile are of {len(positions)} events, not of {width}")
    return positions
