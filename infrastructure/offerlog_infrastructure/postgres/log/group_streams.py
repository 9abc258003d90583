"""The streams of a group of visitor-offers: those that the log has, and those that an append will begin."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from offerlog_domain.identity import OfferKey
from offerlog_infrastructure.postgres.log.held_streams import HeldKey
from offerlog_infrastructure.postgres.log.visitors import NewVisitor, OpenStream, VisitorKeys


class GroupStreams:
    """The streams of the visitor-offers that were loaded last; for one thread.

    Args:
        offers: The visitor-offers.
        keys: Makes new visitors, and opens the keys of stored ones.
    """

    def __init__(self, offers: Collection[OfferKey], keys: VisitorKeys) -> None:
        self._offers = {offer.id: offer for offer in offers}
        self._keys = keys
        self._open: dict[UUID, OpenStream] = {}
        self._new: dict[UUID, NewVisitor] = {}

    def add(self, offer: OfferKey, token: int, kek: int, wrapped_key: bytes) -> OpenStream:
        """Note that the store has the visitor of a visitor-offer; returns the stream, which may be empty.

        Raises:
            KeyringError: The keyring cannot decrypt the key.
        """
        stream = self._open.get(offer.id)
        if stream is None:
            stream = self._open[offer.id] = self._keys.open_stream(
                token, kek, wrapped_key, offer.action_map_id
            )
        return stream

    def open(self, offer_id: UUID, now: datetime) -> OpenStream:
        """Return the stream to append to. The visitor is made if the store does not have one.

        Args:
            offer_id: One of the visitor-offers of this group.
            now: The time at which the event is recorded.

        Raises:
            ValueError: The visitor is new, and known by the digest alone.
        """
        stream = self._open.get(offer_id)
        if stream is None:
            offer = self._offers[offer_id]
            new = self._new.get(offer.visitor_digest)
            if new is None:
                if offer.visitor is None:
                    raise ValueError(f"visitor-offer {offer_id} belongs to a visitor without a name")
                new = self._new[offer.visitor_digest] = self._keys.make(offer, offer.visitor, now)
            stream = self._open[offer_id] = new.stream(offer.action_map_id)
        return stream

    def new_visitors(self) -> Sequence[Sequence[Any]]:
        """Return the rows of the visitors that were made, in the order in which all writers insert them."""
        return [self._new[digest].row for digest in sorted(self._new, key=_number)]

    def note_stored(self, rows: Sequence[Sequence[Any]]) -> None:
        """Note that the store has these rows of new visitors: a later append does not insert them again."""
        for _, digest, *_ in rows:
            self._keys.remember(self._new.pop(digest))

    def offers_of(self, visitor_digest: UUID) -> Collection[UUID]:
        """Return the visitor-offers of the group that belong to a visitor."""
        return [offer.id for offer in self._offers.values() if offer.visitor_digest == visitor_digest]

    def held_key(self, offer_id: UUID, version: int) -> HeldKey:
        """Return what another writer must hold to stand in the way of an event: its row, or the visitor's."""
        offer = self._offers[offer_id]
        if offer.visitor_digest in self._new:
            return HeldKey(offer_id, offer.visitor_digest, None)
        return HeldKey(offer_id, self._open[offer_id].id, version)


def _number(digest: UUID) -> int:
    return digest.int
