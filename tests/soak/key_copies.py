"""The keys of the store, decrypted without the product's code (docs/decisions/0031)."""

import base64
import hmac
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

SELECT_KEYS: Final = "SELECT number, id FROM key_encryption_keys"
SELECT_SECRETS: Final = "SELECT organization, kek, wrapped_secret FROM organizations"

NONCE_BYTES: Final = 12
_LABEL_OF_TEXTS: Final = b"offerlog: texts of refused signals"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class UnopenedError(Exception):
    """Something in the store cannot be decrypted or opened; the message names it."""


class KeyCopies:
    """The keys of a keyring file, and the secrets of the organizations.

    Args:
        keyring: The file.
        numbers: The rows of `SELECT_KEYS`.
        secrets: The rows of `SELECT_SECRETS`.

    Raises:
        UnopenedError: The file lacks a key of the store, or a secret cannot be decrypted.
    """

    def __init__(
        self, keyring: Path, numbers: Iterable[tuple[int, str]], secrets: Iterable[tuple[str, int, bytes]]
    ) -> None:
        held = json.loads(keyring.read_text(encoding="utf-8"))["keys"]
        self._keys = {number: base64.b64decode(held[name]) for number, name in numbers if name in held}
        self._secrets = {organization: self.unwrap(kek, wrapped) for organization, kek, wrapped in secrets}
        self._texts: dict[str, AESGCM] = {}

    def unwrap(self, kek: int, wrapped: bytes) -> bytes:
        """Decrypt a key.

        Raises:
            UnopenedError: The keyring lacks the key of that number, or it is another one.
        """
        try:
            return aes_key_unwrap(self._keys[kek], bytes(wrapped))
        except (KeyError, InvalidUnwrap) as error:
            raise UnopenedError(f"the key with the number {kek} does not decrypt it") from error

    def digest(self, organization: str, kind: str, who: str) -> UUID:
        """Return the digest of a visitor under the organization's secret.

        Raises:
            UnopenedError: The organization has no secret.
        """
        text = b"%d:%b%b" % (len(kind.encode()), kind.encode(), who.encode())
        return UUID(bytes=hmac.digest(self._secret(organization), text, "sha256")[:16])

    def open_text(self, organization: str, at: datetime, reason: str, sealed: bytes) -> str:
        """Open the text of a refused signal.

        Raises:
            UnopenedError: It cannot be opened.
        """
        if not sealed:
            return ""
        if organization not in self._texts:
            key = hmac.digest(self._secret(organization), _LABEL_OF_TEXTS, "sha256")
            self._texts[organization] = AESGCM(key)
        place = f"{(at - _EPOCH) // _MICROSECOND} {reason} {organization}"
        return open_sealed(self._texts[organization], sealed, place.encode()).decode()

    def _secret(self, organization: str) -> bytes:
        if organization not in self._secrets:
            raise UnopenedError(f"the organization {organization} has no secret")
        return self._secrets[organization]


def open_sealed(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """Open nonce, ciphertext and tag that are bound to a place.

    Raises:
        UnopenedError: They were changed, or belong to another place or key.
    """
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except (InvalidTag, ValueError) as error:
        raise UnopenedError(f"a sealed part of {len(sealed)} bytes does not open") from error
