"""Events that builds between 0.1 and the second format stored: version 2, its private part in clear."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.events import EVENTS, Accepted, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.conversion.parked_places import ParkedPlaces
from offerlog_infrastructure.postgres.conversion.stored_forms import UNREADABLE, decode_stored
from support.first_store import OpenedEvent, change_states, new_events, old_events, restore_first_store

encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode


def unsealed(one: OpenedEvent) -> bytes:
    """The state that these builds stored: the visitor is the beginning of the private part."""
    private = [getattr(one.private, name) for name in PrivateFields.__struct_fields__]
    return encode((one.event, encode([one.visitor.id, one.visitor.type, *private])))


def in_version_2(topic: str, state: bytes) -> tuple[str, bytes]:
    """An event of version 1 as these builds would have stored it."""
    return topic.replace(".1", ".2"), unsealed(OpenedEvent(*decode_stored(topic, state)))


def test_a_store_with_events_of_both_versions_opens_with_every_field(dsn: str) -> None:
    """One organization's events are of version 2, the other's of version 1."""
    # given
    restore_first_store(dsn)
    before = old_events(dsn)
    change_states(dsn, in_version_2, "Second.org")
    # when
    with open_offerlog(database_url=dsn, create=False, keep_deadlines=False, project=False) as service:
        # then
        assert [(one.events, one.differences) for one in service.verify()] == [(len(before), ())] * 3
    after = new_events(dsn)
    assert after.keys() == before.keys()
    for place, (_, then) in before.items():
        _, now = after[place]
        assert (now.private, now.visitor) == (then.private, then.visitor)
        assert now.event.recorded_at == then.event.recorded_at
    kinds = {type(one.event) for _, one in after.values() if one.event.organization == "Second.org"}
    assert kinds == set(EVENTS)


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
