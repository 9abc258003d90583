"""The visitors of a log in memory, and the encoding of what identifies them in its events."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from offerlog_domain.event_fields import PrivateFields
from offerlog_domain.identity import OfferKey, VisitorKey
from offerlog_domain.stream_ids import make_token

close_private: Final[Callable[[PrivateFields], bytes]] = msgspec.msgpack.Encoder().encode
"""Encodes private fields for a `SealedEvent`. Nothing leaves the process, so nothing is encrypted."""

open_private: Final[Callable[[bytes], PrivateFields]] = msgspec.msgpack.Decoder(PrivateFields).decode
"""Decodes private fields of a `SealedEvent`."""


class MemoryVisitor(NamedTuple):
    """A visitor of whom an event was recorded.

    Attributes:
        token: Stands for the visitor in the log (see `stream_ids`).
        organization: The tenant.
        digest: The visitor, by the keyed digest of an `OrganizationKey`.
        key: The visitor's identity.
    """

    token: int
    organization: str
    digest: UUID
    key: VisitorKey


class MemoryVisitors:
    """The visitors by digest and by token. The lock of the log guards them."""

    def __init__(self) -> None:
        self._by_digest: dict[UUID, MemoryVisitor] = {}
        self._by_token: dict[int, MemoryVisitor] = {}
        self._made = 0

    def make(self, offer: OfferKey, first_seen: datetime) -> MemoryVisitor:
        """Return the visitor of a visitor-offer, who is made at the first call.

        Args:
            offer: Names the visitor.
            first_seen: The time at which the first event of the visitor is recorded.

        Raises:
            ValueError: The visitor is new, and known by the digest alone.
        """
        visitor = self._by_digest.get(offer.visitor_digest)
        if visitor is None:
            if offer.visitor is None:
                raise ValueError(f"visitor-offer {offer.id} belongs to a visitor without a name")
            token = make_token(offer.visitor_digest, first_seen, self._made)
            self._made += 1
            visitor = MemoryVisitor(token, offer.organization, offer.visitor_digest, offer.visitor)
            self._by_digest[visitor.digest] = self._by_token[token] = visitor
        return visitor

    def all(self) -> Sequence[MemoryVisitor]:
        """Return all visitors."""
        return list(self._by_digest.values())

    def of_digest(self, digest: UUID) -> MemoryVisitor | None:
        """Return the visitor of a digest; None if no event was recorded of such a one."""
        return self._by_digest.get(digest)

    def of_token(self, token: int) -> MemoryVisitor:
        """Return the visitor whom a token stands for."""
        return self._by_token[token]

    def has_token(self, token: int) -> bool:
        """Return whether a token stands for a visitor."""
        return token in self._by_token

    def remove(self, digest: UUID) -> MemoryVisitor | None:
        """Remove and return a visitor; None if there is none."""
        visitor = self._by_digest.pop(digest, None)
        if visitor is not None:
            del self._by_token[visitor.token]
        return visitor
