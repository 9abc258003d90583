"""A bounded cache of visitor-offers, brought up to date from the log at every use.

Each entry holds the stored state of its last event. A reader notices if the store no longer has that event,
for instance after a failover to a copy that was behind.
"""

from collections import OrderedDict
from uuid import UUID

from offerlog_domain.visitor_offer import VisitorOffer


class OfferCache:
    """The visitor-offers that were used last; not thread-safe.

    Args:
        size: The most events that the visitor-offers may hold in all. The newest entry stays in any case.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._events = 0
        self._offers: OrderedDict[UUID, tuple[VisitorOffer, bytes]] = OrderedDict()

    def get(self, stream: UUID) -> tuple[VisitorOffer, bytes]:
        """Return a visitor-offer and the stored state of its last event; of an unknown one, version 0."""
        return self._offers.get(stream) or (VisitorOffer(stream), b"")

    def put(self, offer: VisitorOffer, state: bytes) -> None:
        """Store an entry, and drop the oldest entries beyond the size."""
        before = self._offers.pop(offer.id, None)
        if before is not None:
            self._events -= before[0].version
        self._offers[offer.id] = offer, state
        self._events += offer.version
        while self._events > self._size and len(self._offers) > 1:
            self._events -= self._offers.popitem(last=False)[1][0].version
