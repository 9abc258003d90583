"""Proofs of inclusion and consistency: made from tiles, checked here and by an independent library."""

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales.tiles import tile_path
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from offerlog_domain.transparency.errors import ProofError
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import EMPTY_ROOT, hash_leaf, hash_tree
from offerlog_domain.transparency.proofs import (
    ReadTile,
    check_consistency,
    check_inclusion,
    prove_consistency,
    prove_inclusion,
)
from offerlog_domain.transparency.tiles import Tile, list_proof_tiles

LARGEST = 65_792  # 257 tiles, so two of the level above
LEAVES = [hash_leaf(n.to_bytes(4, "big")) for n in range(LARGEST)]


@pytest.fixture(scope="module")
def read() -> ReadTile:
    """Reads the tiles of the tree of all leaves: those of smaller trees are the same, or a part of them."""
    tree = GrowingTree()
    tiles = {(tile.level, tile.n): hashes for tile, hashes in tree.append(LEAVES).items()}
    return lambda level, n: tiles[level, n]


@cache
def root_of(size: int) -> bytes:
    """Return the root of the first leaves, without tiles."""
    return hash_tree(LEAVES[:size])


UNHURRIED = settings(deadline=None, max_examples=50)  # the machine is shared
sizes = st.one_of(st.integers(1, 600), st.sampled_from([65_536, LARGEST]))


@UNHURRIED
@given(st.data(), sizes)
def test_every_leaf_is_proved_and_the_independent_library_agrees(
    read: ReadTile, data: st.DataObject, size: int
) -> None:
    """RFC 6962, section 2.1.1."""
    index = data.draw(st.integers(0, size - 1))
    proof, root = prove_inclusion(index, size, read), root_of(size)
    check_inclusion(LEAVES[index], index, size, proof, root)
    cut = {(tile.level, tile.n): tile.width * 32 for tile in list_proof_tiles(index, size)}
    assert prove_inclusion(index, size, lambda *place: read(*place)[: cut[place]]) == proof
    InclusionProof(index, size, proof).check(LEAVES[index], root)


@UNHURRIED
@given(st.data(), sizes)
def test_every_tree_is_proved_to_begin_with_an_earlier_one_and_the_independent_library_agrees(
    read: ReadTile, data: st.DataObject, new: int
) -> None:
    """RFC 6962, section 2.1.2."""
    old = data.draw(st.integers(0, min(new, 600)) | st.just(new))
    proof = prove_consistency(old, new, read)
    check_consistency(old, root_of(old), new, root_of(new), proof)
    ConsistencyProof(old, new, proof).check(root_of(old), root_of(new))


@UNHURRIED
@given(st.data(), st.integers(2, 600))
def test_a_proof_of_inclusion_shows_nothing_else(read: ReadTile, data: st.DataObject, size: int) -> None:
    """Another leaf, place, hash or number of hashes is refused."""
    index = data.draw(st.integers(0, size - 1))
    proof, root = prove_inclusion(index, size, read), root_of(size)
    wrong_leaf, wrong_index = hash_leaf(b"another"), (index + 1) % size
    changed = [*proof[:-1], hash_leaf(proof[-1])]
    for leaf, at, hashes in [
        (wrong_leaf, index, proof),
        (LEAVES[index], wrong_index, proof),
        (LEAVES[index], index, changed),
        (LEAVES[index], index, proof[1:]),
        (LEAVES[index], index, [*proof, proof[0]]),
        (LEAVES[index], size, proof),
    ]:
        with pytest.raises(ProofError):
            check_inclusion(leaf, at, size, hashes, root)


@UNHURRIED
@given(st.data(), st.integers(2, 600))
def test_a_proof_of_consistency_shows_nothing_else(read: ReadTile, data: st.DataObject, new: int) -> None:
    """Another root, size, hash or number of hashes is refused."""
    old = data.draw(st.integers(1, new - 1))
    proof, was, now = prove_consistency(old, new, read), root_of(old), root_of(new)
    wrong = hash_leaf(b"another")
    for at, first, second, hashes in [
        (old, wrong, now, proof),
        (old, was, wrong, proof),
        (old, was, now, [*proof[:-1], wrong]),
        (old, was, now, proof[1:]),
        (old, was, now, [*proof, wrong]),
        (new + 1, was, now, proof),
        (new, was, now, []),
        (0, was, now, []),
    ]:
        with pytest.raises(ProofError):
            check_consistency(at, first, new, second, hashes)


def test_every_tree_begins_with_the_empty_one(read: ReadTile) -> None:
    """There is nothing to prove."""
    assert prove_consistency(0, 300, read) == []
    check_consistency(0, EMPTY_ROOT, 300, root_of(300), [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda read: prove_inclusion(5, 5, read),
        lambda read: prove_inclusion(-1, 5, read),
        lambda read: prove_consistency(6, 5, read),
        lambda read: prove_inclusion(0, 5, lambda *place: read(*place)[:64]),
    ],
)
def test_what_cannot_be_proved_is_an_error(read: ReadTile, ask: Callable[[ReadTile], object]) -> None:
    """No such leaf, a tree that shrinks, and tiles that lack a hash."""
    with pytest.raises(ProofError):
        ask(read)


@given(st.integers(0, 63), st.integers(0, 10**9), st.integers(1, 256))
def test_paths_of_tiles_are_those_of_the_independent_library(level: int, n: int, width: int) -> None:
    """Two readings of C2SP tlog-tiles."""
    assert Tile(level, n, width).path == "/".join(tile_path(level, n, width % 256))
