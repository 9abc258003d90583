"""Version 2 with a private part in clear, and the places of parked signals, which version 1 did not state."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from offerlog_domain.event_fields import Event
from offerlog_domain.events import Accepted, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.postgres.conversion.parked_places import ParkedPlaces
from offerlog_infrastructure.postgres.conversion.stored_forms import UNREADABLE, decode_stored

encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode


@pytest.mark.parametrize("state", [b"", b"\x91", encode(([], b"")), encode(([1], encode(["x"])))], ids=repr)
def test_what_is_no_event_of_version_2_is_an_error(state: bytes) -> None:
    """Of those that the conversion reports with position and stream."""
    with pytest.raises(UNREADABLE):
        decode_stored("offered.2", state)


ACTION, OTHER = UUID(int=1), UUID(int=2)
AT = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
COMMON: dict[str, Any] = {"organization": "acme", "action_map_id": UUID(int=3), "recorded_at": AT}
OF_SIGNAL: dict[str, Any] = COMMON | {"media_type": "webchat", "occurred_at": AT}
OF_REFUSAL: dict[str, Any] = OF_SIGNAL | {
    "reason": Reason.ALREADY_OPEN,
    "blocking_state": State.OFFERED,
    "blocking_since": AT,
}


def parked_for(places: ParkedPlaces, *signals: tuple[UUID, State]) -> None:
    """Let signals wait: the first at version 1."""
    for version, (action, state) in enumerate(signals, 1):
        places.complete(SignalParked(**OF_SIGNAL, parked_state=state), action, version)


def test_the_event_that_ends_a_wait_gets_the_place_of_the_signal() -> None:
    """The state must be the same, and the action; a refused offer ends all waits of its action."""
    # given
    places = ParkedPlaces()
    waiting = [
        (ACTION, State.ENGAGED),
        (OTHER, State.ACCEPTED),
        (ACTION, State.ACCEPTED),
        (OTHER, State.STARTED),
    ]
    parked_for(places, *waiting)
    accepted = Accepted(**OF_SIGNAL, action_number=1, offered_at=AT)
    # when
    first = places.complete(accepted, ACTION, 5)
    again = places.complete(accepted, ACTION, 6)
    ended = places.complete(ParkingEnded(**COMMON, parked_state=State.ENGAGED), ACTION, 7)
    refused = places.complete(OfferRefused(**OF_REFUSAL), OTHER, 8)
    # then
    assert (first, again) == (replace(accepted, parked_version=3), accepted)
    assert isinstance(ended, ParkingEnded)
    assert ended.parked_version == 1
    assert isinstance(refused, OfferRefused)
    assert refused.parked_versions == (2, 4)


def test_a_place_that_an_event_states_stays() -> None:
    """Version 2 stated it."""
    places = ParkedPlaces()
    parked_for(places, (ACTION, State.ENGAGED), (ACTION, State.ACCEPTED))
    stated: list[Event] = [
        ParkingEnded(**COMMON, parked_state=State.ENGAGED, parked_version=7),
        OfferRefused(**OF_REFUSAL, parked_versions=(8, 9)),
    ]
    assert [places.complete(one, ACTION, 10) for one in stated] == stated
