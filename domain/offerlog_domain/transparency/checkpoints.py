"""Checkpoints (C2SP tlog-checkpoint): the size and root of a log's tree, and what keys sign of them.

A log signs with Ed25519 (the text of the checkpoint) or with ML-DSA-44. A witness signs too, with the time at
which it saw that the checkpoint is consistent with the earlier ones (C2SP tlog-cosignature).
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.notes import (
    NoteSignature,
    SignatureType,
    SignedNote,
    VerifierKey,
    decode_base64,
    encode_base64,
    read_number,
)

_BODY_LINES: Final = 3
_SUBTREE_LABEL: Final = b"subtree/v1\n\x00"
_LONGEST_NAME: Final = 255
_time: Final = Struct(">Q")
_LAST_TIME: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log's tree, without signatures.

    Attributes:
        origin: The unique name of the log.
        size: Number of leaves.
        root: Hash of the root.
    """

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint without signatures. Lines behind the third are allowed, and not kept.

        Raises:
            NoteError: It is not a checkpoint.
        """
        lines = text.split("\n")
        if len(lines) <= _BODY_LINES or lines[-1] or not all(lines[:-1]):
            raise NoteError("a checkpoint has a line each for origin, size and root")
        origin, size, root = lines[:_BODY_LINES]
        root_hash = decode_base64(root)
        if len(root_hash) != HASH_BYTES:
            raise NoteError(f"the root of a checkpoint is a hash of {HASH_BYTES} bytes, not {root[:80]!r}")
        return cls(origin, read_number(size), root_hash)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the note that it was read from.

    Attributes:
        checkpoint: The state of the tree.
        note: The text, with all signatures.
    """

    checkpoint: Checkpoint
    note: SignedNote

    def __str__(self) -> str:
        return str(self.note)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a signed checkpoint. No signature is checked.

        Raises:
            NoteError: It is not one.
        """
        note = SignedNote.parse(text)
        return cls(Checkpoint.parse(note.text), note)


def signed_message(key: VerifierKey, text: str, time: int = 0) -> bytes:
    """Return the bytes that a key signs of a checkpoint.

    Args:
        key: The key that signs; its type decides.
        text: The text of the note, the checkpoint.
        time: Of a cosignature: seconds since 1970.

    Raises:
        NoteError: The text is not a checkpoint.
    """
    if key.type is SignatureType.ED25519:
        return text.encode()
    if key.type is SignatureType.COSIGNATURE_V1:
        return f"cosignature/v1\ntime {time}\n{text}".encode()
    checkpoint = Checkpoint.parse(text)
    return b"".join(
        [
            _SUBTREE_LABEL,
            _sized(key.name),
            _time.pack(time),
            _sized(checkpoint.origin),
            _time.pack(0),
            _time.pack(checkpoint.size),
            checkpoint.root,
        ]
    )


def _sized(name: str) -> bytes:
    """Return a name with its length before it."""
    data = name.encode()
    if len(data) > _LONGEST_NAME:
        raise NoteError(f"the name {name[:80]!r} is longer than {_LONGEST_NAME} bytes")
    return len(data).to_bytes(1, "big") + data


def make_signature(key: VerifierKey, signature: bytes, time: int = 0) -> NoteSignature:
    """Return the signature line of a raw signature over `signed_message`.

    Args:
        key: The key that signed.
        signature: The raw signature.
        time: Of a cosignature: the signed time.
    """
    data = signature if key.type is SignatureType.ED25519 else _time.pack(time) + signature
    return NoteSignature(key.name, key.key_id, data)


def split_signature(key: VerifierKey, line: NoteSignature) -> tuple[int, bytes]:
    """Split what stands in the signature line of a key into time and raw signature.

    Returns:
        The signed time in seconds since 1970, 0 for a plain signature; and the raw signature.

    Raises:
        NoteError: It is too short to hold a time, or the time is too late.
    """
    if key.type is SignatureType.ED25519:
        return 0, line.data
    if len(line.data) <= _time.size:
        raise NoteError(f"the cosignature of {line.name} is too short")
    (time,) = _time.unpack_from(line.data)
    if time > _LAST_TIME:
        raise NoteError(f"the cosignature of {line.name} has no valid time")
    return time, line.data[_time.size :]
