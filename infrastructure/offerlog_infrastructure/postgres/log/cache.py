"""A bounded memory of visitor-offers as this process left them; never trusted without asking the log.

With each goes the state of its last event as stored: a store that has lost it, by failing over to a copy that
was behind for instance, is found out.
"""

from collections import OrderedDict
from uuid import UUID

from offerlog_domain.visitor_offer import VisitorOffer


class OfferCache:
    """The visitor-offers used last; whoever reads one brings it up to date from the log first.

    Args:
        size: How many events the visitor-offers may hold in all. The one put last is remembered in any case.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._events = 0
        self._offers: OrderedDict[UUID, tuple[VisitorOffer, bytes]] = OrderedDict()

    def get(self, stream: UUID) -> tuple[VisitorOffer, bytes]:
        """As last left, and the state of its last event; an unknown one at version 0, and nothing."""
        return self._offers.get(stream) or (VisitorOffer(stream), b"")

    def put(self, offer: VisitorOffer, state: bytes) -> None:
        """Remember; those that were put longest ago are forgotten."""
        before = self._offers.pop(offer.id, None)
        if before is not None:
            self._events -= before[0].version
        self._offers[offer.id] = offer, state
        self._events += offer.version
        while self._events > self._size and len(self._offers) > 1:
            self._events -= self._offers.popitem(last=False)[1][0].version
