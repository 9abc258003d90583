"""Proofs made from tiles, and checked without them (RFC 6962, sections 2.1.1 and 2.1.2)."""

from collections.abc import Callable, Sequence

from offerlog_domain.transparency.errors import ProofError
from offerlog_domain.transparency.hashing import (
    EMPTY_ROOT,
    HASH_BYTES,
    hash_full,
    hash_node,
    largest_power_below,
)
from offerlog_domain.transparency.tiles import TILE_HEIGHT, TILE_WIDTH

ReadTile = Callable[[int, int], bytes]
"""Returns the hashes of a tile by its level and number. It may return more than the tree of that size has."""


def root_hash(size: int, read: ReadTile) -> bytes:
    """Return the root of the tree of the first `size` leaves.

    Raises:
        ProofError: A tile lacks a hash.
    """
    return _hash_range(0, size, read) if size else EMPTY_ROOT


def prove_inclusion(index: int, size: int, read: ReadTile) -> list[bytes]:
    """Return the proof that a leaf is in the tree of the first `size` leaves.

    Args:
        index: The leaf, counted from 0.
        size: Number of leaves.
        read: Reads a tile.

    Returns:
        The hashes beside the path, from the leaf to the root.

    Raises:
        ProofError: There is no such leaf, or a tile lacks a hash.
    """
    if not 0 <= index < size:
        raise ProofError(f"the tree of {size} leaves has no leaf {index}")
    start, end, proof = 0, size, []
    while end - start > 1:
        middle = start + largest_power_below(end - start)
        if index < middle:
            proof.append(_hash_range(middle, end, read))
            end = middle
        else:
            proof.append(_hash_range(start, middle, read))
            start = middle
    return proof[::-1]


def prove_consistency(old: int, new: int, read: ReadTile) -> list[bytes]:
    """Return the proof that the tree of `new` leaves begins with the tree of `old` leaves.

    Nothing needs to be proved if they are the same, or the old one is empty: the proof is empty.

    Raises:
        ProofError: The old tree is larger than the new one, or a tile lacks a hash.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves cannot begin with a tree of {old}")
    if old in {0, new}:
        return []
    start, end, proof, is_known = 0, new, [], True
    while end != old:
        middle = start + largest_power_below(end - start)
        if old <= middle:
            proof.append(_hash_range(middle, end, read))
            end = middle
        else:
            proof.append(_hash_range(start, middle, read))
            start, is_known = middle, False
    if not is_known:
        proof.append(_hash_range(start, end, read))
    return proof[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check the proof that a leaf is in a tree.

    Raises:
        ProofError: It does not show that.
    """
    if not 0 <= index < size:
        raise ProofError(f"the tree of {size} leaves has no leaf {index}")
    start, end, is_left = 0, size, []
    while end - start > 1:
        middle = start + largest_power_below(end - start)
        is_left.append(index < middle)
        start, end = (start, middle) if index < middle else (middle, end)
    if len(proof) != len(is_left):
        raise ProofError(f"the proof of inclusion has {len(proof)} hashes; {len(is_left)} are needed")
    node = leaf
    for sibling, left in zip(proof, reversed(is_left), strict=True):
        node = hash_node(node, sibling) if left else hash_node(sibling, node)
    if node != root:
        raise ProofError("the proof of inclusion leads to another root: the event or the tree was changed")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check the proof that a tree begins with an earlier one.

    Raises:
        ProofError: It does not show that.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves cannot begin with a tree of {old}")
    if old in {0, new}:
        expected = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != expected:
            raise ProofError("the trees differ: the earlier tree was changed")
        return
    start, end, is_left = 0, new, []
    while end != old:
        middle = start + largest_power_below(end - start)
        is_left.append(old <= middle)
        start, end = (start, middle) if old <= middle else (middle, end)
    hashes = list(proof) if start else [old_root, *proof]
    if len(hashes) != len(is_left) + 1:
        raise ProofError(f"the proof of consistency has {len(proof)} hashes, which is a wrong number")
    old_node = new_node = hashes[0]
    for sibling, left in zip(hashes[1:], reversed(is_left), strict=True):
        if left:
            new_node = hash_node(new_node, sibling)
        else:
            old_node, new_node = hash_node(sibling, old_node), hash_node(sibling, new_node)
    if old_node != old_root:
        raise ProofError("the proof of consistency leads to another old root than that of the earlier tree")
    if new_node != new_root:
        raise ProofError("the proof of consistency leads to another new root")


def _hash_range(start: int, end: int, read: ReadTile) -> bytes:
    """Return the hash over the leaves from `start` to before `end`, which is a node of some tree."""
    count = end - start
    if count & (count - 1):
        middle = start + largest_power_below(count)
        return hash_node(_hash_range(start, middle, read), _hash_range(middle, end, read))
    level, height = divmod(count.bit_length() - 1, TILE_HEIGHT)
    n, offset = divmod(start >> level * TILE_HEIGHT, TILE_WIDTH)
    end_of_hashes = (offset + (1 << height)) * HASH_BYTES
    hashes = read(level, n)[offset * HASH_BYTES : end_of_hashes]
    if len(hashes) != HASH_BYTES << height:
        raise ProofError(f"the tile {n} of level {level} does not reach to the leaf {end - 1}")
    return hash_full(hashes)
