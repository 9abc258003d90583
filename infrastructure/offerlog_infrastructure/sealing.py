"""Sealing: encrypt a text so that nobody without the key can read it, or change or move it unnoticed.

A `Sealer` has the cipher AES-256-GCM (NIST SP 800-38D). A sealed text is nonce ‖ ciphertext ‖ tag. The nonce
is random, so one key may seal 2^32 texts. A nonce of this cipher is never derived from the place of a text:
an append that is tried again seals another text for the same place.

A `VisitorSealer` has the cipher AES-256-SIV (RFC 5297), which takes no nonce. A sealed text is tag ‖
ciphertext. The tag is computed from the text and its place, and it is the initial value of the encryption.
So another text for the same place is encrypted otherwise, and the same text comes out the same.
See docs/decisions/0069.
"""

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_infrastructure.random_pieces import RandomPieces

KEY_BYTES: Final = 32
"""Bytes of a sealer's key."""

_NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
"""Bytes by which a text that a `VisitorSealer` has sealed is longer than its text."""

SEAL_BYTES: Final = _NONCE_BYTES + TAG_BYTES
"""Bytes by which a sealed text is longer than its text."""

SECRET_BYTES: Final = 16
"""Bytes of a visitor's secret: as hard to guess as a key of AES-128. Before decision 69 it had 32 bytes."""

_SIV_KEY_BYTES: Final = 64
_PURPOSE: Final = b"offerlog visitor"
"""Keeps the key that is made from a secret apart from keys that are made from it for other purposes."""

_nonces: Final = RandomPieces(_NONCE_BYTES)
"""Nonces of this process, shared by all sealers."""


class UnsealError(OfferlogError):
    """A sealed text cannot be opened: it was changed or moved, or was sealed with another key.

    Args:
        what: Names the text in the message.
    """

    def __init__(self, what: str = "a sealed text") -> None:
        super().__init__(f"{what} cannot be opened: it was changed or moved, or has another key")


class Sealer:
    """Seals and opens texts with one key; thread-safe.

    Args:
        key: 32 bytes.

    Raises:
        ArgumentError: The key has another length.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ArgumentError("key", f"a key of {KEY_BYTES} bytes is needed, not of {len(key)}")
        self._cipher = AESGCM(key)

    def seal(self, text: bytes, bound_to: bytes) -> bytes:
        """Return the sealed text, `SEAL_BYTES` longer than the text.

        Args:
            text: What to seal; it may be empty.
            bound_to: Describes the place of the text. It is not kept: `open` needs the same value.
        """
        nonce = _nonces.take()
        return nonce + self._cipher.encrypt(nonce, text, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Return the text that was sealed.

        Args:
            sealed: What `seal` returned.
            bound_to: The place, as given to `seal`.

        Raises:
            UnsealError: It was changed or moved, or was sealed with another key.
        """
        if len(sealed) < SEAL_BYTES:
            raise UnsealError
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except InvalidTag:
            raise UnsealError from None


class VisitorSealer:
    """Seals and opens the texts of a visitor; thread-safe.

    The key is BLAKE2b of the visitor's secret. What builds before decision 69 sealed is opened too: their
    secrets had 32 bytes, which were the key of AES-256-GCM.

    Args:
        secret: 16 bytes, or 32 of a visitor whom an older build stored.

    Raises:
        ArgumentError: The secret has another length.
    """

    __slots__ = ("_cipher", "_former_key")

    def __init__(self, secret: bytes) -> None:
        if len(secret) not in (SECRET_BYTES, KEY_BYTES):
            raise ArgumentError("secret", f"a secret of {SECRET_BYTES} bytes is needed, not of {len(secret)}")
        self._former_key = secret if len(secret) == KEY_BYTES else None
        self._cipher = AESSIV(blake2b(key=secret, digest_size=_SIV_KEY_BYTES, person=_PURPOSE).digest())

    def seal(self, text: bytes, bound_to: bytes) -> bytes:
        """Return the sealed text, `TAG_BYTES` longer than the text.

        Args:
            text: What to seal; not empty.
            bound_to: Describes the place of the text. It is not kept: `open` needs the same value.
        """
        return self._cipher.encrypt(text, [bound_to])

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Return the text that was sealed.

        Args:
            sealed: What `seal` returned, or what an older build stored.
            bound_to: The place, as given to `seal`.

        Raises:
            UnsealError: It was changed or moved, or was sealed with another key.
        """
        if len(sealed) <= TAG_BYTES:
            raise UnsealError
        try:
            return self._cipher.decrypt(sealed, [bound_to])
        except InvalidTag:
            if self._former_key is None:
                raise UnsealError from None
        return Sealer(self._former_key).open(sealed, bound_to)
