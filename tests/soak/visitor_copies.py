"""A copy of the visitors, opened without the product's code.

docs/decisions/0032 says what a row holds, and 0069 how builds since then seal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from soak.key_copies import NONCE_BYTES, KeyCopies, UnopenedError, open_sealed

SELECT_VISITORS: Final = "SELECT token, digest, kek, organization, wrapped_key, names FROM visitors"


@dataclass(frozen=True)
class Visitor:
    """One row of the visitors.

    Attributes:
        digest: As it stands in the row.
        right_digest: Computed from the names in the row.
        nonce: Of the sealed names; or the beginning of their tag, where there is no nonce.
    """

    token: int
    organization: str
    kind: str
    who: str
    digest: UUID
    right_digest: UUID
    nonce: bytes


class VisitorCipher:
    """What opens the sealed parts of one visitor, whichever build sealed them.

    Args:
        secret: 16 bytes; or 32 from before decision 69, when AES-GCM took them as its key.
    """

    def __init__(self, secret: bytes) -> None:
        self._siv = AESSIV(blake2b(key=secret, digest_size=64, person=b"offerlog visitor").digest())
        self._former = AESGCM(secret) if len(secret) == 32 else None

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Open what is bound to a place.

        Raises:
            UnopenedError: It was changed, or belongs to another place or key.
        """
        try:
            return self._siv.decrypt(bytes(sealed), [place])
        except (InvalidTag, ValueError) as error:
            if self._former is None:
                raise UnopenedError(f"a sealed part of {len(sealed)} bytes does not open") from error
        return open_sealed(self._former, sealed, place)


class VisitorCopies:
    """All visitors, and their keys.

    Args:
        rows: The rows of `SELECT_VISITORS`.
        keys: The keys of the store.

    Attributes:
        visitors: By token.
        unopened: The rows that do not open, in words.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]], keys: KeyCopies) -> None:
        self.visitors: dict[int, Visitor] = {}
        self.unopened: list[str] = []
        self._ciphers: dict[int, VisitorCipher] = {}
        for row in rows:
            try:
                self._add(row, keys)
            except UnopenedError as error:
                self.unopened.append(f"the visitor with the token {row[0]}: {error}")

    def _add(self, row: tuple[Any, ...], keys: KeyCopies) -> None:
        token, digest, kek, organization, wrapped_key, sealed = row
        cipher = VisitorCipher(keys.unwrap(kek, wrapped_key))
        names = msgspec.msgpack.decode(cipher.open(sealed, f"names of {token}".encode()))
        kind, who = names if isinstance(names, list) else ("cookie", names)
        who = str(UUID(bytes=who)) if isinstance(who, bytes) else who
        right_digest = keys.digest(organization, kind, who)
        if token in self.visitors:
            raise UnopenedError("another row has it too")
        self.visitors[token] = Visitor(
            token, organization, kind, who, digest, right_digest, bytes(sealed[:NONCE_BYTES])
        )
        self._ciphers[token] = cipher

    def of(self, token: int) -> Visitor:
        """Return the visitor of a token.

        Raises:
            UnopenedError: There is none whose row opens.
        """
        if token not in self.visitors:
            raise UnopenedError(f"no visitor that opens has the token {token}")
        return self.visitors[token]

    def open(self, stream: UUID, version: int, name: str, sealed: bytes) -> list[Any]:
        """Open the private fields of the event of a stored name at a place.

        Raises:
            UnopenedError: They do not open, or there is no such visitor.
        """
        token = token_of(stream)
        self.of(token)
        place = stream.bytes + version.to_bytes(4, "big") + name.encode()
        opened = self._ciphers[token].open(sealed, place)
        if opened[0] in (0, 1):  # two ids or three, and nothing else
            ids = [opened[at : at + 16] for at in range(1, len(opened), 16)]
            assert len(opened) == 33 + 16 * opened[0], opened
            return [*ids, *[None] * (7 - len(ids))]
        fields: list[Any] = msgspec.msgpack.decode(opened)
        return fields


def token_of(stream: UUID) -> int:
    """Return the first half of a stream's id, as a signed number."""
    return int.from_bytes(stream.bytes[:8], "big", signed=True)


def stream_of(token: int, action_map: str) -> UUID:
    """Return the id of a visitor's stream: the token, the digit of the variant, 60 bits of a hash."""
    head = token.to_bytes(8, "big", signed=True)
    digits = sha256(head + UUID(action_map).bytes).hexdigest()[:15]
    return UUID(f"{head.hex()}8{digits}")
