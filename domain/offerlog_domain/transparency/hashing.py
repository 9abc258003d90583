"""The hashes of the tree (RFC 6962, section 2.1): SHA-256, with other first bytes for leaves and nodes."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
"""Bytes of a hash."""

LEAF_PREFIX: Final = b"\x00"
"""First byte of what is hashed to a leaf."""

NODE_PREFIX: Final = b"\x01"
"""First byte of what is hashed to a node."""

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves."""


def hash_leaf(entry: bytes) -> bytes:
    """Return the leaf hash of an entry."""
    return sha256(LEAF_PREFIX + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two nodes."""
    return sha256(NODE_PREFIX + left + right).digest()


def largest_power_below(count: int) -> int:
    """Return the largest power of two that is smaller than a number, which must be 2 or more."""
    return 1 << ((count - 1).bit_length() - 1)


def hash_full(hashes: bytes) -> bytes:
    """Return the hash above consecutive hashes whose number is a power of two.

    Args:
        hashes: The hashes, one behind the other.
    """
    two, sha = 2 * HASH_BYTES, sha256
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [sha(NODE_PREFIX + hashes[at : at + two]).digest() for at in range(0, len(hashes), two)]
        )
    return hashes


def hash_tree(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree of these leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    peaks: list[tuple[int, bytes]] = []  # complete subtrees from left to right: height and hash
    for leaf in leaves:
        height, node = 0, leaf
        while peaks and peaks[-1][0] == height:
            node = hash_node(peaks.pop()[1], node)
            height += 1
        peaks.append((height, node))
    root = peaks.pop()[1]
    while peaks:
        root = hash_node(peaks.pop()[1], root)
    return root
