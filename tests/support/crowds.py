"""Visitor-offers that hold far more than they may now: older versions wrote without a bound."""

from uuid import UUID

from msgspec.structs import replace

from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import OfferRefused, SignalParked
from offerlog_domain.visitor_offer import VisitorOffer


def crowded(
    kind: RecordedEvent[OfferRefused] | RecordedEvent[SignalParked], number: int, offer: VisitorOffer
) -> list[RecordedEvent[Event]]:
    """Events such as older versions wrote without a bound, each of another action, behind that offer."""
    return [
        RecordedEvent(
            kind.originator_id,
            offer.version + 1 + n,
            kind.event,
            replace(kind.private, action_id=UUID(int=1000 + n), event_id=UUID(int=10**9 + n)),
        )
        for n in range(number)
    ]
