"""Visitor-offers that hold far more than they may now: older versions wrote without a bound."""

from dataclasses import replace
from uuid import UUID

from offerlog_domain.event_fields import Event
from offerlog_domain.events import OfferRefused, SignalParked
from offerlog_domain.visitor_offer import VisitorOffer


def crowded(kind: OfferRefused | SignalParked, number: int, offer: VisitorOffer) -> list[Event]:
    """Events such as older versions wrote without a bound, each of another action, behind that offer."""
    return [
        replace(
            kind,
            originator_version=offer.version + 1 + n,
            action_id=str(UUID(int=1000 + n)),
            event_id=str(UUID(int=10**9 + n)),
        )
        for n in range(number)
    ]
