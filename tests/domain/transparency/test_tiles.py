"""Tiles: the tree in rows of 256 hashes, its paths, and the positions of the events of a tile."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import EMPTY_ROOT, hash_leaf, hash_tree
from offerlog_domain.transparency.proofs import root_hash
from offerlog_domain.transparency.tiles import (
    TILE_WIDTH,
    Tile,
    list_tiles,
    pack_gaps,
    read_tile_path,
    unpack_positions,
)

# RFC 6962 trees over the inputs of the tests of Certificate Transparency's reference implementation.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(len(INPUTS) + 1))
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    """The published roots over eight known inputs."""
    leaves = [hash_leaf(bytes.fromhex(one)) for one in INPUTS[:size]]
    expected = bytes.fromhex(ROOTS[size - 1]) if size else EMPTY_ROOT
    assert hash_tree(leaves) == expected


@settings(deadline=None, max_examples=50)  # the machine is shared
@given(st.lists(st.integers(0, 700), min_size=1, max_size=6))
def test_a_tree_that_grows_in_steps_is_the_tree_of_all_its_leaves(steps: list[int]) -> None:
    """Whatever the steps, and after a restart between any two: the same root, and the tiles of that size."""
    leaves = [hash_leaf(n.to_bytes(4, "big")) for n in range(sum(steps))]
    tree, tiles, done = GrowingTree(), dict[tuple[int, int], bytes](), 0
    for step in steps:
        changed = tree.append(leaves[done : done + step])
        assert set(list_tiles(done + step, since=done)) == set(changed)
        tiles |= {(tile.level, tile.n): hashes for tile, hashes in changed.items()}
        done += step
        edge = {tile.level: tiles[tile.level, tile.n] for tile in list_tiles(done) if not tile.is_full}
        tree = GrowingTree(done, edge)  # as after a restart
        assert (
            tree.root() == hash_tree(leaves[:done]) == root_hash(done, lambda *place, now=tiles: now[place])
        )
    assert {(tile.level, tile.n) for tile in list_tiles(done)} == tiles.keys()


def test_a_tree_of_seventy_thousand_leaves_has_the_tiles_of_the_specification() -> None:
    """The example of C2SP tlog-tiles."""
    tiles = list(list_tiles(70_000))
    assert sum(tile.is_full for tile in tiles if tile.level == 0) == 273
    partial = [tile for tile in tiles if not tile.is_full]
    assert partial == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]


@pytest.mark.parametrize("edge", [{}, {0: bytes(64)}, {0: bytes(32), 1: bytes(32)}])
def test_an_edge_of_another_size_makes_no_tree(edge: dict[int, bytes]) -> None:
    """A lost or superfluous partial tile is noticed at once."""
    with pytest.raises(ValueError, match="a tree of 1 leaves"):
        GrowingTree(1, edge)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(3, 1_234_067), "tile/3/x001/x234/067"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(63, 999_999, 1), "tile/63/x999/999.p/1"),
        (Tile(1, 1_000), "tile/1/x001/000"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile: Tile, path: str) -> None:
    """Three digits an element, all but the last behind an x."""
    assert tile.path == path
    assert read_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    ["", "tile/0/1", "tile/00/001", "tile/64/001", "tile/0/001/002", "tile/0/x000/001", "tile/0/001.p/0",
     "tile/0/001.p/256", "tile/0/001.p/999", "tile/0/\u0661\u0661\u0661", "/tile/0/001", "tile/0/001\n"],
)  # fmt: skip
def test_other_paths_are_no_tiles(path: str) -> None:
    """There is one path for each tile."""
    with pytest.raises(NoteError):
        read_tile_path(path)


@given(st.integers(0, 2**53), st.lists(st.integers(1, 2**20), max_size=TILE_WIDTH - 1))
def test_positions_come_back_from_their_gaps(first: int, steps: list[int]) -> None:
    """Whatever was skipped."""
    positions = [first]
    for step in steps:
        positions.append(positions[-1] + step)
    assert unpack_positions(first, len(positions), pack_gaps(positions)) == positions


def test_positions_without_gaps_take_no_bytes() -> None:
    """As almost always."""
    assert pack_gaps(range(5, 261)) is None
    assert unpack_positions(5, 256, None) == list(range(5, 261))


@pytest.mark.parametrize("gaps", [b"", b"\x01", b"\x01\x80", b"\x01\x02\x03"])
def test_gaps_of_another_number_of_events_are_refused(gaps: bytes) -> None:
    """Such a tile was changed."""
    with pytest.raises(NoteError, match="the gaps of a tile"):
        unpack_positions(1, 3, gaps)
