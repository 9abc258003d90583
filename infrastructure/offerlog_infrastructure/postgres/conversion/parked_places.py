"""The places of parked signals, which events of version 1 do not state."""

from uuid import UUID

from msgspec.structs import replace

from offerlog_domain.event_fields import Event
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import State


class ParkedPlaces:
    """The places in one stream of the signals that wait, while its events come in order.

    A state waits at most once for its action. The event that reaches the state, or ends the parking, ends the
    wait. A refused offer ends the waits of all states of its action.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[UUID, State], int] = {}

    def complete(self, event: Event, action_id: UUID, version: int) -> Event:
        """Take in the next event, and return it with the places of the parked signals that it ends.

        Args:
            event: The public fields. Places that are stated stay.
            action_id: Its action.
            version: Its place in the stream.
        """
        match event:
            case SignalParked():
                self._places[action_id, event.parked_state] = version
            case LifecycleEvent(parked_version=stated, state=state):
                place = self._places.pop((action_id, state), None)
                if place is not None and stated is None:
                    return replace(event, parked_version=place)
            case ParkingEnded(parked_version=stated, parked_state=state):
                place = self._places.pop((action_id, state), None)
                if place is not None and stated is None:
                    return replace(event, parked_version=place)
            case OfferRefused(parked_versions=stated):
                places = sorted(self._places.pop(key) for key in self._keys_of(action_id))
                if places and not stated:
                    return replace(event, parked_versions=tuple(places))
        return event

    def _keys_of(self, action_id: UUID) -> list[tuple[UUID, State]]:
        return [key for key in self._places if key[0] == action_id]
