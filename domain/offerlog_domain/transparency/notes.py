"""Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final, Self

from offerlog_domain.transparency.errors import NoteError

PRIVATE_KEY_MARK: Final = "PRIVATE+KEY+"
"""The begin of the text of a private key."""

_KEY_ID_BYTES: Final = 4
_SIGNATURE_START: Final = "\u2014 "
_MOST_SIGNATURES: Final = 64
_LARGEST_NUMBER: Final = (1 << 63) - 1
_MOST_DIGITS: Final = len(str(_LARGEST_NUMBER))


class SignatureType(IntEnum):
    """The algorithm of a key, by the byte that stands for it in the ids of keys.

    `ED25519` signs the text of a note. The others are cosignatures, which sign a time too: `COSIGNATURE_V1`
    with Ed25519, `MLDSA44` with ML-DSA-44 (FIPS 204), which logs use to sign their own checkpoints too.
    """

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04
    MLDSA44 = 0x06


PUBLIC_KEY_BYTES: Final = {
    SignatureType.ED25519: 32,
    SignatureType.COSIGNATURE_V1: 32,
    SignatureType.MLDSA44: 1312,
}
"""Bytes of a public key."""


def encode_base64(data: bytes) -> str:
    """Write bytes in base64, as all of these texts have them."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Read base64.

    Raises:
        NoteError: It is not base64 in the one way to write it.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if encode_base64(data) != text:
        raise NoteError(f"a text of {len(text):,} characters is not base64")  # it may be a secret: not quoted
    return data


def read_number(text: str) -> int:
    """Read a number of these texts: decimal, without sign or leading zeros, below 2^63.

    Raises:
        NoteError: It is not one.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and str(int(text)) == text:
        number = int(text)
        if number <= _LARGEST_NUMBER:
            return number
    raise NoteError(f"a number is needed, not {text[:80]!r}")


def check_name(name: str) -> str:
    """Return the name of a key or a log if it can be one.

    Raises:
        NoteError: It is empty, or has spaces, control characters or a plus sign.
    """
    if not name or "+" in name or not name.isprintable() or any(letter.isspace() for letter in name):
        raise NoteError(f"{name!r} cannot be a name: it must have neither spaces nor a plus sign")
    return name


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and type; its text is what C2SP calls a vkey.

    Attributes:
        name: The name that stands in signature lines.
        type: What it signs with.
        public: The public key.
    """

    name: str
    type: SignatureType
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand before each signature."""
        start = self.name.encode() + b"\n" + self.type.to_bytes(1, "big")
        return sha256(start + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        public = encode_base64(self.type.to_bytes(1, "big") + self.public)
        return f"{self.name}+{self.key_id.hex()}+{public}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key from its text.

        Raises:
            NoteError: It is not the text of a key of a known type, or its id is of another key. The message
                does not quote it: it may be a private key, or the content of another secret file.
        """
        if PRIVATE_KEY_MARK in text:
            raise NoteError(
                "this is the private key, which nobody else may have; give the public key: the file with the"
                " same name and .pub, for instance audit.key.pub"
            )
        parts = text.split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004 - name, id and key
            raise NoteError("this is not a public key: name+id+key is expected")
        try:
            name, key_id, data = check_name(parts[0]), parts[1], decode_base64(parts[2])
            kind = SignatureType(data[0])
        except (NoteError, IndexError, ValueError):
            raise NoteError("this is not a public key of a known type: name+id+key is expected") from None
        key = cls(name, kind, data[1:])
        if len(key.public) != PUBLIC_KEY_BYTES[kind] or key.key_id.hex() != key_id:
            raise NoteError("this public key does not fit its id: it was changed, or cut")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line.

    Attributes:
        name: The name of the key.
        key_id: The id of the key, 4 bytes.
        data: The signature; of a cosignature, its time and signature.
    """

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        return f"{_SIGNATURE_START}{self.name} {encode_base64(self.key_id + self.data)}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line without its end.

        Raises:
            NoteError: It is not a signature line.
        """
        name, _, encoded = line.removeprefix(_SIGNATURE_START).partition(" ")
        data = decode_base64(encoded)
        if not line.startswith(_SIGNATURE_START) or len(data) <= _KEY_ID_BYTES:
            raise NoteError(f"{line[:80]!r} is not a signature line")
        return cls(check_name(name), data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])

    def is_by(self, key: VerifierKey) -> bool:
        """Return True if it says that this key made it. Whether that is true, only a check can tell."""
        return (self.name, self.key_id) == (key.name, key.key_id)


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text with signatures.

    Attributes:
        text: What is signed, with the newline at its end.
        signatures: In the order of their lines.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n" + "".join(f"{one}\n" for one in self.signatures)

    def by(self, key: VerifierKey) -> list[NoteSignature]:
        """List the signatures that say that this key made them."""
        return [one for one in self.signatures if one.is_by(key)]

    def signed_too(self, signatures: Iterable[NoteSignature]) -> "SignedNote":
        """Return the note with more signatures; those that it has already are not repeated."""
        more = [one for one in signatures if one not in self.signatures]
        return SignedNote(self.text, (*self.signatures, *more))

    @classmethod
    def parse(cls, note: str) -> Self:
        """Read a signed note.

        Raises:
            NoteError: It is not one, or has more than 64 signatures.
        """
        text, separator, lines = note.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise NoteError("a signed note ends with an empty line and signature lines")
        if any(letter < " " and letter != "\n" for letter in note):
            raise NoteError("a signed note has no control characters")
        signatures = lines[:-1].split("\n")
        if len(signatures) > _MOST_SIGNATURES:
            raise NoteError(f"the note has {len(signatures)} signatures; {_MOST_SIGNATURES} are the most")
        return cls(f"{text}\n", tuple(NoteSignature.parse(line) for line in signatures))
