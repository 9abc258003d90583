"""Facts survive storage, under names that no change of the code may change."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from msgspec import msgpack, structs

from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent
from offerlog_domain.events import EVENTS, Accepted, Offered, OfferRefused, Rejected
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.log.first_format import UPCASTERS
from offerlog_infrastructure.postgres.log.mapper import EventMapper, UnreadableEventError

STORED_NAMES = [
    "offered.2", "accepted.2", "started.2", "rejected.2", "ignored.2", "errored.2", "timedout.2",
    "abandoned.2", "engaged.2", "offer-refused.2", "signal-parked.2", "parking-ended.2",
]  # fmt: skip
"""What is in the logs of those who run offerlog; a new event adds to this list, nothing else changes it."""

AT = datetime(2025, 3, 10, 10, 0, 0, 123456, tzinfo=UTC)
TEXTS = [
    "plain",
    "",
    "NUL \x00 inside",
    "\U0001d518\U0001d52b 💬 \U0010ffff",
    "e\u0301 is not é",
    "\u202eback\u200b",
    "a\r\n\tb\x1b",
    "0b9c2f3e-4d5a-4b6c-8d7e-9f0a1b2c3d4e",
    "0B9C2F3E-4D5A-4B6C-8D7E-9F0A1B2C3D4E",
    "0b9c2f3e4d5a-4b6c-8d7e-9f0a1b2c3d4e-",
    "0b9c2f3e-4d5a-4b6c-8d7e-9f0a1b2c3d  ",
    "0b9c2f3e-4d5a-4b6c-8d7e-9f0a1b2c3d4\u0663",
]

EXAMPLES: dict[str, Any] = {
    "action_number": 2,
    "offered_at": AT - timedelta(hours=1),
    "rejected_stage": Stage.FORM,
    "reason": Reason.ALREADY_OPEN,
    "blocking_state": State.STARTED,
    "blocking_since": AT,
    "parked_state": State.ENGAGED,
}


def build_example(kind: type[Event], text: str, *, full: bool) -> RecordedEvent[Event]:
    """A event of that kind with every field, or with none but those it must have."""
    fields: dict[str, Any] = {
        "organization": "acme",
        "action_map_id": uuid4(),
        "recorded_at": AT,
        "media_type": "webchat",
        "occurred_at": AT,
    }
    private: dict[str, Any] = {
        "customer_id": text,
        "customer_id_type": text,
        "session_id": uuid4(),
        "action_id": uuid4(),
    }
    if full:
        fields |= {
            "action_map_version": -(2**63),
            "action_map_name": text,
            "dated": False,
            "timeout_seconds": 86400,
            "raw_length": 2**40,
            "parked_version": 7,
            "parked_versions": (3, 4),
        }
        private |= {
            "event_id": uuid4(),
            "error_code": "00045",
            "error_message": text,
            "blocking_action_id": uuid4(),
            "raw": text.encode() + b"\xff\x00",
        }
    known = fields | EXAMPLES
    event = kind(**{name: known[name] for name in kind.__struct_fields__ if name in known})
    return RecordedEvent(uuid4(), 2**31 - 1, event, PrivateFields(**private))


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("full", [True, False])
def test_every_fact_comes_back_equal(kind: type[Event], text: str, full: bool) -> None:  # noqa: FBT001 - pytest's way
    """Stored and read again, an event is of the same class and equal in every field."""
    mapper, recorded = EventMapper(), build_example(kind, text, full=full)
    stored = mapper.to_stored_event(recorded)
    again = mapper.to_domain_event(stored)
    assert isinstance(again, RecordedEvent)
    assert type(again.event) is kind
    assert again == recorded
    assert structs.asdict(again.event) == structs.asdict(recorded.event)
    assert again.event.recorded_at.tzinfo is UTC
    assert mapper.to_stored_event(again) == stored


def test_the_stored_names_are_these() -> None:
    """Names and versions as they are in logs that exist."""
    mapper = EventMapper()
    assert [
        mapper.to_stored_event(build_example(kind, "x", full=True)).topic for kind in EVENTS
    ] == STORED_NAMES


@pytest.mark.parametrize("kind", EVENTS)
def test_no_import_path_is_ever_stored(kind: type[Event]) -> None:
    """Neither the topic nor the state names a module or a class, so both may move."""
    stored = EventMapper().to_stored_event(build_example(kind, "x", full=True))
    for path in ("offerlog_", "domain", "builtins", ":"):
        assert path not in stored.topic
    assert b"offerlog_" not in stored.state
    assert kind.__name__.encode() not in stored.state


def test_a_state_is_stored_by_its_wire_spelling() -> None:
    """An enumeration's member is stored as its value, not as its name."""
    stored = EventMapper().to_stored_event(build_example(Rejected, "x", full=False))
    assert b"form" in stored.state
    assert b"FORM" not in stored.state


@pytest.fixture
def application(dsn: str) -> Iterator[OfferlogApplication]:
    """The application over an empty log."""
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        yield application


class LaterAccepted(Accepted, frozen=True):
    """`Accepted` as a later build may have it, two versions on."""

    stored_version: ClassVar[int] = 4


def _to_3(state: bytes) -> bytes:
    return state.replace(b"acme", b"ACME")


def _to_4(state: bytes) -> bytes:
    return state.replace(b"ACME", b"Acme")


LATER = dict(UPCASTERS) | {("accepted", 2): _to_3, ("accepted", 3): _to_4}


def test_a_later_build_reads_what_an_earlier_one_stored(application: OfferlogApplication) -> None:
    """Upcasters lead, version by version, from what lies in the log's table to the event of today."""
    earlier = structs.replace(build_example(Accepted, "Checkout \x00 💬", full=True), originator_version=1)
    PostgresLog(application).append([earlier], [])
    later = EventMapper([Offered, LaterAccepted], LATER)
    (stored,) = application.log.select_events(earlier.originator_id)
    assert stored.topic == "accepted.2"
    read = later.to_domain_event(stored)
    assert isinstance(read, RecordedEvent)
    assert isinstance(read.event, LaterAccepted)
    assert structs.asdict(read.event) == structs.asdict(earlier.event) | {"organization": "Acme"}
    assert read.private == earlier.private
    assert later.to_stored_event(read).topic == "accepted.4"


def test_a_later_build_reads_its_own_version_as_it_is(application: OfferlogApplication) -> None:
    """What was stored by the later build passes no upcaster."""
    later = EventMapper([LaterAccepted], LATER)
    earlier = build_example(Accepted, "x", full=True)
    event = LaterAccepted(**structs.asdict(earlier.event))
    recorded = RecordedEvent(earlier.originator_id, 1, event, earlier.private)
    application.log.insert_events([later.to_stored_event(recorded)])
    (stored,) = application.log.select_events(recorded.originator_id)
    assert later.to_domain_event(stored) == recorded


def test_a_raised_version_without_its_upcaster_is_found_at_once() -> None:
    """The mapper is not even made, so that no event is read by guesswork."""
    with pytest.raises(LookupError):
        EventMapper([LaterAccepted], {("accepted", 2): _to_3})


PRIVATE = ["x", "cookie", bytes(16), bytes(16)]


def written(public: object, private: object = PRIVATE) -> bytes:
    """A stored state."""
    return msgpack.encode([public, msgpack.encode(private)])


def public_of(kind: type[Event], **changed: object) -> list[object]:
    """The stored public fields of an event of that kind, with some changed."""
    event = build_example(kind, "x", full=True).event
    encoded = msgpack.decode(msgpack.encode(event))
    fields = dict(zip(kind.__struct_fields__, encoded, strict=True))
    fields["action_map_id"] = bytes(16)
    return [*(fields | changed).values()]


UNREADABLE: list[dict[str, Any]] = [
    {"topic": "vanished.1"},
    {"topic": "accepted.3"},
    {"topic": "accepted.0"},
    {"topic": "accepted"},
    {"topic": "accepted.x"},
    {"topic": "offerlog_domain.events:Accepted"},
    {"state": b""},
    {"state": b"\xc1 no MessagePack"},
    {"state": b"\x90"},
    {"state": b"\x80"},
    {"state": written([])},
    {"state": written(public_of(Accepted, action_map_id=b"short"))},
    {"state": written(public_of(Accepted, recorded_at="yesterday"))},
    {"state": written(public_of(Accepted, action_number="first"))},
    {"state": written(public_of(Accepted), ["x", "cookie", bytes(16)])},
    {"state": written(public_of(Accepted), {"customer_id": "x"})},
    {"state": written(public_of(Accepted)) + b"\x00"},
    {"topic": "offer-refused.2", "state": written(public_of(OfferRefused, blocking_state="vanished"))},
    {"topic": "offer-refused.2", "state": written(public_of(OfferRefused, reason=7))},
    {"topic": "rejected.2"},
    {"topic": "offer-refused.2"},
    {"topic": "accepted.1"},
    {"topic": "accepted.1", "state": msgpack.encode([2**62, bytes(32), "acme", ["x", bytes(16)]])},
    {
        "topic": "offer-refused.1",
        "state": msgpack.encode(
            [0, bytes(32), "acme", ["x", bytes(16)], 0, 0, 0, None, None, ["already_open", 7, "offered", 0]]
        ),
    },
]
"""Changes that make a stored `Accepted` unreadable: another name, no MessagePack, fields that are missing, of
the wrong type or of another kind of event; in the first format a time in the year 148,108, and an id that is
not a UUID."""


def test_what_is_changed_below_could_be_read() -> None:
    """The states that each have one field changed are readable without the change."""
    for kind in (Accepted, OfferRefused):
        topic = f"{kind.stored_name}.2"
        assert isinstance(EventMapper().event(uuid4(), 1, topic, written(public_of(kind))).event, kind)


@pytest.mark.parametrize("change", UNREADABLE, ids=repr)
def test_what_cannot_be_read_is_named(change: dict[str, Any]) -> None:
    """The error names topic, stream and version of the event, and why."""
    known = EventMapper().to_stored_event(build_example(Accepted, "x", full=True))
    fields = {name: getattr(known, name) for name in StoredEvent.__dataclass_fields__}
    stored = StoredEvent(**fields | change)
    with pytest.raises(UnreadableEventError, match=r"version 2147483647\): .") as caught:
        EventMapper().to_domain_event(stored)
    error = caught.value
    assert (error.topic, error.originator_id) == (stored.topic, stored.originator_id)
    assert error.originator_version == stored.originator_version
    assert stored.topic in str(error)
    assert str(stored.originator_id) in str(error)
