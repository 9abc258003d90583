"""Keys that sign checkpoints, and the check of their signatures: Ed25519, and ML-DSA-44 where it is built in.

The text of a private key is `PRIVATE+KEY+NAME+ID+BASE64`, as other tools for signed notes write it. The part
in base64 is the type of the key and its seed.
"""

import secrets
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from offerlog_domain.transparency.checkpoints import (
    SignedCheckpoint,
    make_signature,
    signed_message,
    split_signature,
)
from offerlog_domain.transparency.errors import NoteError, SignatureError
from offerlog_domain.transparency.notes import (
    PRIVATE_KEY_MARK,
    NoteSignature,
    SignatureType,
    VerifierKey,
    check_name,
    decode_base64,
    encode_base64,
)

SEED_BYTES: Final = 32
"""Bytes of the seed that a private key is made from."""


class _PrivateKey(Protocol):
    def sign(self, data: bytes, /) -> bytes: ...


class SigningKey:
    """The application's `Signer`, from a seed.

    Args:
        name: The name that stands in signature lines.
        kind: What it signs with.
        seed: 32 random bytes, which nobody else may know.

    Attributes:
        key: The public part.

    Raises:
        NoteError: The seed has another length, or ML-DSA-44 is not built into `cryptography`.
    """

    def __init__(self, name: str, kind: SignatureType, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise NoteError(f"the private key of {name} has {len(seed)} bytes, not {SEED_BYTES}")
        self._seed = seed
        self._private, public = _make_pair(kind, seed)
        self.key = VerifierKey(name, kind, public)

    def __repr__(self) -> str:
        return f"<SigningKey of {self.key.name}>"

    @classmethod
    def generate(cls, name: str, kind: SignatureType) -> "SigningKey":
        """Make a new key.

        Raises:
            NoteError: A key cannot have this name, or ML-DSA-44 is not built into `cryptography`.
        """
        return cls(check_name(name), kind, secrets.token_bytes(SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read a private key from its text.

        Raises:
            NoteError: It is not one. The message does not quote it.
        """
        parts = text.strip().removeprefix(PRIVATE_KEY_MARK).split("+", 2)
        if not text.startswith(PRIVATE_KEY_MARK) or len(parts) != 3:  # noqa: PLR2004 - name, id and key
            raise NoteError(f"a private key begins with {PRIVATE_KEY_MARK} and has a name, an id and a key")
        name, key_id = parts[:2]
        try:
            data = decode_base64(parts[2])
            found = cls(name, SignatureType(data[0]), data[1:])
        except (NoteError, IndexError, ValueError):
            raise NoteError("the private key cannot be read: it was changed, or cut") from None
        if found.key.key_id.hex() != key_id:
            raise NoteError("the private key does not fit its id: it was changed")
        return found

    def private_text(self) -> str:
        """Return the text of the private key."""
        secret = encode_base64(self.key.type.to_bytes(1, "big") + self._seed)
        return f"{PRIVATE_KEY_MARK}{self.key.name}+{self.key.key_id.hex()}+{secret}"

    def sign(self, text: str, time: int) -> NoteSignature:
        """Sign the text of a checkpoint, with the time unless it is a plain Ed25519 key."""
        return make_signature(self.key, self._private.sign(signed_message(self.key, text, time)), time)


def check_signature(signed: SignedCheckpoint, key: VerifierKey) -> int | None:
    """Return the time that a key has signed, 0 without one; None if the key has not signed.

    Raises:
        SignatureError: A signature line of this key is false. Then the whole note must not be trusted.
    """
    time: int | None = None
    for line in signed.note.by(key):
        try:
            time, signature = split_signature(key, line)
            _verify(key, signature, signed_message(key, signed.note.text, time))
        except (InvalidSignature, UnsupportedAlgorithm, NoteError, ValueError):
            raise SignatureError(f"the signature of {key.name} is false") from None
    return time


def _make_pair(kind: SignatureType, seed: bytes) -> tuple[_PrivateKey, bytes]:
    if kind is not SignatureType.MLDSA44:
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return private, private.public_key().public_bytes_raw()
    try:
        longer = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
    except UnsupportedAlgorithm:
        raise NoteError("ML-DSA-44 is not built into this `cryptography`: use Ed25519") from None
    return longer, longer.public_key().public_bytes_raw()


def _verify(key: VerifierKey, signature: bytes, message: bytes) -> None:
    if key.type is SignatureType.MLDSA44:
        mldsa.MLDSA44PublicKey.from_public_bytes(key.public).verify(signature, message)
    else:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
