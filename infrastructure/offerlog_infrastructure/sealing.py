"""Sealing: encrypt a text so that nobody without the key can read it, or change or move it unnoticed.

The cipher is AES-256-GCM (NIST SP 800-38D). A sealed text is nonce ‖ ciphertext ‖ tag. The nonce is random,
so one key may seal 2^32 texts. A nonce is never derived from the place of a text: an append that is tried
again seals another text for the same place.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_infrastructure.random_pieces import RandomPieces

KEY_BYTES: Final = 32
"""Bytes of a sealer's key."""

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16

SEAL_BYTES: Final = _NONCE_BYTES + _TAG_BYTES
"""Bytes by which a sealed text is longer than its text."""

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
