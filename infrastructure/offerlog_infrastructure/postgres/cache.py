"""A bounded memory of visitor-offers as this process left them; never trusted without asking the log."""

from collections import OrderedDict
from uuid import UUID

from offerlog_domain.visitor_offer import VisitorOffer


class OfferCache:
    """The visitor-offers used last; whoever reads one brings it up to date from the log first.

    Args:
        size: How many to remember.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._offers: OrderedDict[UUID, VisitorOffer] = OrderedDict()

    def get(self, stream: UUID) -> VisitorOffer:
        """As last left; an unknown one at version 0."""
        return self._offers.get(stream) or VisitorOffer(stream)

    def put(self, offer: VisitorOffer) -> None:
        """Remember; the one that was put longest ago is forgotten."""
        self._offers[offer.id] = offer
        self._offers.move_to_end(offer.id)
        if len(self._offers) > self._size:
            self._offers.popitem(last=False)
