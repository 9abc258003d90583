"""The leaf of an event: what of a stored event the tree commits to.

The entry of an event is, in this order, integers big-endian::

    8 bytes   position
    4 bytes   version, the place in the stream
    16 bytes  stream
    2 bytes   length of the topic, and the topic in UTF-8
    4 bytes   length of the public part, and the public part exactly as stored
    32 bytes  SHA-256 of the sealed part

The leaf is SHA-256(0x00 || entry), as RFC 6962 has it. Only a hash of the sealed part is in it. So the sealed
part can be deleted later, and every proof still holds: in its place stays its hash (`blank_sealed`).
"""

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct
from typing import Final

from msgspec import MsgspecError, Raw
from msgspec.msgpack import Decoder

from offerlog_domain.transparency.hashing import HASH_BYTES, LEAF_PREFIX

BLANKED_MARK: Final = b"\x00"
"""First byte of a blanked sealed part."""

BLANKED_BYTES: Final = len(BLANKED_MARK) + HASH_BYTES
"""Bytes of a blanked sealed part."""

UNSPLIT: Final = bytes(HASH_BYTES)
"""Stands for the hash of the sealed part if the stored state is not two parts. No sealed part is known that
has this hash."""

_head: Final = Struct(">qI16sH").pack
_start: Final = Struct(">qi16s")
_length: Final = Struct(">I").pack
_UNUSUAL: Final = bytes(BLANKED_BYTES)
"""Stands for the sealed part of a state that has none, so that the state counts as unusual."""

_SHORT_LENGTHS: Final = [length.to_bytes(4, "big") for length in range(256)]
_decode: Final = Decoder(tuple[Raw, bytes]).decode
_PAIR: Final = 0x92
_SHORT: Final = 0xC4
_SHORT_HEADS: Final = [bytes([0xC4]) + length.to_bytes(1, "big") for length in range(256)]
_FEWEST_16: Final = 1 << 8
_FEWEST_32: Final = 1 << 16
_BLANKED_HEAD: Final = _SHORT_HEADS[BLANKED_BYTES] + BLANKED_MARK
_BLANKED_TAIL: Final = len(_BLANKED_HEAD) + HASH_BYTES
"""A state that ends otherwise is not blanked."""


StoredRow = tuple[int, bytes, int, str, bytes]
"""A stored event: position, stream (16 bytes), version, topic and state."""

RawRow = tuple[bytes, bytes, bytes]
"""A stored event in bytes: position, version and stream as in its entry (28 bytes); topic in UTF-8; state."""

_LONGEST_TOPIC: Final = 0xFFFF
_NO_LEAF_PREFIX: Final = b"\x02"
"""Instead of `LEAF_PREFIX` where a topic is too long for an entry: the hash is the leaf of no event."""


def sealed_digest(sealed: bytes) -> bytes:
    """Return the hash of a sealed part for the leaf: of a blanked one, the hash that it keeps.

    A blanked sealed part is the byte 0x00 and the 32 bytes of the SHA-256 of what was sealed. No live sealed
    part looks like that. It is empty, or has 16 bytes for a tag and at least 33 for the private fields, whose
    first two are ids. Older builds needed more for both.
    """
    if len(sealed) == BLANKED_BYTES and sealed[:1] == BLANKED_MARK:
        return sealed[1:]
    return sha256(sealed).digest()


def is_blanked(sealed: bytes) -> bool:
    """Return True if a sealed part was erased, and only its hash is left."""
    return len(sealed) == BLANKED_BYTES and sealed[:1] == BLANKED_MARK


def find_blanked(rows: Iterable[StoredRow]) -> list[StoredRow]:
    """Return the stored events whose sealed part was erased. An audit looks at every event of the log."""
    start, end, head = -_BLANKED_TAIL, -HASH_BYTES, _BLANKED_HEAD
    ended = [row for row in rows if row[4][start:end] == head]
    return [row for row in ended if (parts := split_state(row[4])) is not None and is_blanked(parts[1])]


def blank_sealed(sealed: bytes) -> bytes:
    """Return what is stored in place of an erased sealed part; a blanked one stays as it is."""
    return sealed if is_blanked(sealed) else BLANKED_MARK + sha256(sealed).digest()


def split_state(state: bytes) -> tuple[bytes, bytes] | None:
    """Split a stored state into its public and its sealed part, both exactly as stored.

    A stored state is a MessagePack array of two: the public fields, and the sealed part as bytes.

    Returns:
        Both parts; None if the state has another form, or spells lengths in more bytes than it must.
    """
    try:
        sealed = _decode(state)[1]
    except (MsgspecError, RecursionError):
        return None
    length = len(sealed)
    tail = (_SHORT_HEADS[length] if length < _FEWEST_16 else _long_head(length)) + sealed
    if not state.endswith(tail) or state[0] != _PAIR:
        return None
    return state[1 : -len(tail)], sealed


def _long_head(length: int) -> bytes:
    """Return the shortest head of MessagePack for that many bytes, 256 or more."""
    if length < _FEWEST_32:
        return b"\xc5" + length.to_bytes(2, "big")
    return b"\xc6" + length.to_bytes(4, "big")


def make_entry(
    *, position: int, version: int, stream: bytes, topic: bytes, public: bytes, digest: bytes
) -> bytes:
    """Return the entry of an event.

    Args:
        position: Place in the log.
        version: Place in the stream.
        stream: The stream's id, 16 bytes.
        topic: The stored name and version, in UTF-8.
        public: The public part as stored.
        digest: The hash of the sealed part (`sealed_digest`).
    """
    return _head(position, version, stream, len(topic)) + topic + _length(len(public)) + public + digest


def entry_of_event(position: int, stream: bytes, version: int, topic: str, state: bytes) -> bytes:
    """Return the entry of a stored event.

    A state that is not two parts has an entry too: all of it counts as public, and `UNSPLIT` as the hash.

    Args:
        position: Place in the log.
        stream: The stream's id, 16 bytes.
        version: Place in the stream.
        topic: The stored name and version.
        state: The stored state.
    """
    name = topic.encode()
    return _head(position, version, stream, len(name)) + name + _end_entry(state)


def _end_entry(state: bytes) -> bytes:
    """Return what an entry holds of a state."""
    parts = split_state(state)
    public, digest = (state, UNSPLIT) if parts is None else (parts[0], sealed_digest(parts[1]))
    return _length(len(public)) + public + digest


def hash_events(rows: Iterable[StoredRow]) -> list[bytes]:
    """Return the leaf of each stored event: its position, stream (16 bytes), version, topic and state."""
    return hash_rows(pack_row(row) for row in rows)[0]


def pack_row(row: StoredRow) -> RawRow:
    """Return a stored event in bytes."""
    position, stream, version, topic, state = row
    return _start.pack(position, version, stream), topic.encode(), state


def unpack_row(row: RawRow) -> StoredRow:
    """Return the columns of a stored event."""
    head, topic, state = row
    position, version, stream = _start.unpack(head)
    return position, stream, version, topic.decode(), state


def position_of(row: RawRow) -> int:
    """Return the position of a stored event."""
    return int.from_bytes(row[0][:8], "big", signed=True)


def hash_rows(rows: Iterable[RawRow]) -> tuple[list[bytes], list[int]]:
    """Return the leaf of each stored event, and the places of those whose state is not as usual.

    A usual state is an array of two whose sealed part has fewer than 256 bytes and was not blanked. The leaf
    is that of `entry_of_event` and `hash_leaf`. Written out in one loop, it takes half the time, and an audit
    spends most of its time here.
    """
    leaves: list[bytes] = []
    unusual: list[int] = []
    names: dict[bytes, bytes] = {}
    add, sha, decode, lengths, short = leaves.append, sha256, _decode, _SHORT_LENGTHS, len(_SHORT_LENGTHS)
    for head, topic, state in rows:
        name = names.get(topic)
        if name is None:
            if len(topic) > _LONGEST_TOPIC:
                unusual.append(len(leaves))
                add(sha(_NO_LEAF_PREFIX + head + topic + state).digest())
                continue
            name = names[topic] = len(topic).to_bytes(2, "big") + topic
        try:
            sealed = decode(state)[1]
        except (MsgspecError, RecursionError):
            sealed = _UNUSUAL
        size = len(sealed)
        end = -size - 2  # where a sealed part stands behind 0xc4 and its length
        if size >= _FEWEST_16 or size == BLANKED_BYTES or state[end] != _SHORT or state[0] != _PAIR:
            unusual.append(len(leaves))
            add(sha(LEAF_PREFIX + head + name + _end_entry(state)).digest())
            continue
        public = state[1:end]
        size = len(public)
        length = lengths[size] if size < short else _length(size)
        add(sha(b"\0%b%b%b%b%b" % (head, name, length, public, sha(sealed).digest())).digest())
    return leaves, unusual
