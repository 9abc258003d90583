"""A copy of the visitors, opened without the product's code (docs/decisions/0032 says what a row holds)."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from soak.key_copies import NONCE_BYTES, KeyCopies, UnopenedError, open_sealed

SELECT_VISITORS: Final = "SELECT token, digest, kek, organization, wrapped_key, names FROM visitors"


@dataclass(frozen=True)
class Visitor:
    """One row of the visitors.

    Attributes:
        digest: As it stands in the row.
        right_digest: Computed from the names in the row.
        nonce: Of the sealed names.
    """

    token: int
    organization: str
    kind: str
    who: str
    digest: UUID
    right_digest: UUID
    nonce: bytes


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
        self._ciphers: dict[int, AESGCM] = {}
        for row in rows:
            try:
                self._add(row, keys)
            except UnopenedError as error:
                self.unopened.append(f"the visitor with the token {row[0]}: {error}")

    def _add(self, row: tuple[Any, ...], keys: KeyCopies) -> None:
        token, digest, kek, organization, wrapped_key, sealed = row
        cipher = AESGCM(keys.unwrap(kek, wrapped_key))
        names = msgspec.msgpack.decode(open_sealed(cipher, sealed, f"names of {token}".encode()))
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
        fields: list[Any] = msgspec.msgpack.decode(open_sealed(self._ciphers[token], sealed, place))
        return fields


def token_of(stream: UUID) -> int:
    """Return the first half of a stream's id, as a signed number."""
    return int.from_bytes(stream.bytes[:8], "big", signed=True)


def stream_of(token: int, action_map: str) -> UUID:
    """Return the id of a visitor's stream: the token, the digit of the variant, 60 bits of a hash."""
    head = token.to_bytes(8, "big", signed=True)
    digits = sha256(head + UUID(action_map).bytes).hexdigest()[:15]
    return UUID(f"{head.hex()}8{digits}")
