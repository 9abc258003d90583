"""Events survive storage, under names that no change of the code may change, and sealed."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from msgspec import msgpack, structs

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent, SealedEvent
from offerlog_domain.events import EVENTS, Accepted, Offered, OfferRefused, Rejected
from offerlog_domain.identity import VisitorKey, name_offer
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.service_events import ServiceEvent
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private, encode_plain
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.log.mapper import EventMapper, EventRow
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.sealing import VisitorSealer
from support.keyrings import run_keyring
from support.service_events import ONE_OF_EACH

STORED_NAMES = [
    "offered.3", "accepted.3", "started.3", "rejected.3", "ignored.3", "errored.3", "timedout.3",
    "abandoned.3", "engaged.3", "qualified.3", "qualifiedOutsideSchedule.3", "offeredOutsideSchedule.3",
    "frequencyCapReached.3", "offer-refused.2", "signal-parked.2", "parking-ended.2",
]  # fmt: skip
"""Those that are stored from now on; a new event adds to this list, nothing else changes it."""

SERVICE_NAMES = [
    "visitor-erased.2",
    "erasure-receipt.2",
    "report-issued.2",
    "key-rotated.2",
    "organization-deleted.2",
    "action-map-policy-set.2",
    "blocked-tally.2",
]
"""The same, of events that belong to no visitor-offer."""

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
    private: dict[str, Any] = {"session_id": uuid4(), "action_id": uuid4()}
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


STREAM = OpenStream(uuid4(), VisitorSealer(b"k" * 16))


def write(mapper: EventMapper, recorded: RecordedEvent[Event], stream: OpenStream = STREAM) -> EventRow:
    """The event as a row of the log."""
    row = mapper.row(recorded, stream)
    assert (row.originator_id, row.originator_version) == (stream.id, recorded.originator_version)
    return row


def read(
    mapper: EventMapper, row: EventRow, offer_id: UUID, stream: OpenStream = STREAM
) -> RecordedEvent[Event]:
    """The event that a row holds, opened."""
    return mapper.open_event(offer_id, stream, row.originator_version, row.topic, row.state)


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("full", [True, False])
def test_every_fact_comes_back_equal(kind: type[Event], text: str, full: bool) -> None:  # noqa: FBT001 - pytest's way
    """Stored and read again, an event is of the same class and equal in every field."""
    mapper, recorded = EventMapper(), build_example(kind, text, full=full)
    row = write(mapper, recorded)
    again = read(mapper, row, recorded.originator_id)
    assert type(again.event) is kind
    assert again == recorded
    assert structs.asdict(again.event) == structs.asdict(recorded.event)
    assert again.event.recorded_at.tzinfo is UTC


@pytest.mark.parametrize("kind", EVENTS)
def test_without_the_key_the_public_fields_can_be_read(kind: type[Event]) -> None:
    """The private ones stay one sealed text, which goes back into storage as it was."""
    mapper, recorded = EventMapper(), build_example(kind, "x", full=True)
    row = write(mapper, recorded)
    stored = StoredEvent(row.originator_id, row.originator_version, row.topic, row.state)
    sealed = mapper.to_domain_event(stored)
    assert isinstance(sealed, SealedEvent)
    assert type(sealed.event) is kind
    assert sealed.event == recorded.event
    assert sealed == mapper.event(row.originator_id, row.originator_version, row.topic, row.state)
    assert mapper.to_stored_event(sealed) == stored
    opened = STREAM.open(sealed.sealed, row.originator_version, kind.stored_name.encode())
    assert decode_private(opened) == recorded.private


@pytest.mark.parametrize("kind", EVENTS)
def test_nothing_that_identifies_anybody_stands_in_clear(kind: type[Event]) -> None:
    """No private field, as bytes or as text; and sealed for two places, nothing in it is alike."""
    private = PrivateFields(
        session_id=uuid4(),
        action_id=uuid4(),
        event_id=uuid4(),
        error_code="code 00045",
        error_message="a message in words",
        blocking_action_id=uuid4(),
        raw=b"a text as it came",
    )
    recorded = structs.replace(build_example(kind, "x", full=True), private=private)
    rows = [write(EventMapper(), structs.replace(recorded, originator_version=place)) for place in (1, 2)]
    for value in structs.astuple(private):
        forms = [value.bytes, str(value).encode(), value.hex.encode()] if isinstance(value, UUID) else [value]
        for form in forms:
            clear = form.encode() if isinstance(form, str) else form
            assert not [row for row in rows if clear in row.state]
    texts = [EventMapper().event(*row_of(row)).sealed for row in rows]
    assert not [at for at in range(0, 48, 16) if texts[0][at : at + 16] == texts[1][at : at + 16]]


def row_of(row: EventRow) -> tuple[UUID, int, str, bytes]:
    """A row as `EventMapper.event` takes it."""
    return row.originator_id, row.originator_version, row.topic, row.state


def test_the_stored_names_are_these() -> None:
    """Names and versions as they are in logs that exist."""
    assert [
        write(EventMapper(), build_example(kind, "x", full=True)).topic for kind in EVENTS
    ] == STORED_NAMES
    assert [EventMapper().service_row(STREAM.id, 1, one).topic for one in ONE_OF_EACH] == SERVICE_NAMES


@pytest.mark.parametrize("event", ONE_OF_EACH)
def test_an_event_of_no_visitor_offer_is_public(event: ServiceEvent) -> None:
    """Its sealed part is empty, and the library's own ways write and read the same bytes."""
    # given
    mapper = EventMapper()
    row = mapper.service_row(STREAM.id, 7, event)
    stored = StoredEvent(row.originator_id, row.originator_version, row.topic, row.state)
    # when
    read_again = mapper.to_domain_event(stored)
    # then
    assert read_again == SealedEvent(STREAM.id, 7, event, b"")
    assert mapper.to_stored_event(read_again) == stored
    public, sealed = msgpack.decode(row.state)
    assert sealed == b""
    assert public[:2] == [event.organization, event.action_map_id.bytes]


@pytest.mark.parametrize("kind", EVENTS)
def test_no_import_path_is_ever_stored(kind: type[Event]) -> None:
    """Neither the topic nor the state names a module or a class, so both may move."""
    stored = write(EventMapper(), build_example(kind, "x", full=True))
    for path in ("offerlog_", "domain", "builtins", ":"):
        assert path not in stored.topic
    assert b"offerlog_" not in stored.state
    assert kind.__name__.encode() not in stored.state


def test_a_state_is_stored_by_its_wire_spelling() -> None:
    """An enumeration's member is stored as its value, not as its name."""
    stored = write(EventMapper(), build_example(Rejected, "x", full=False))
    assert b"form" in stored.state
    assert b"FORM" not in stored.state


@pytest.fixture
def application(dsn: str) -> Iterator[OfferlogApplication]:
    """The application over an empty log."""
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        yield application


class LaterAccepted(Accepted, frozen=True):
    """`Accepted` as a later build may have it, two versions on."""

    stored_version: ClassVar[int] = 5


def _to_4(state: bytes) -> bytes:
    return state.replace(b"acme", b"ACME")


def _to_5(state: bytes) -> bytes:
    return state.replace(b"ACME", b"Acme")


def _plain_to_5(state: bytes) -> bytes:
    return state.replace(b"acme", b"Acme")


LATER = {("accepted", 2): _plain_to_5, ("accepted", 3): _to_4, ("accepted", 4): _to_5}


def test_a_later_build_reads_what_an_earlier_one_stored(application: OfferlogApplication) -> None:
    """Upcasters lead, version by version, from what lies in the log's table to the event of today."""
    earlier = structs.replace(build_example(Accepted, "Checkout \x00 💬", full=True), originator_version=1)
    offer = name_offer("acme", uuid4(), earlier.event.action_map_id, VisitorKey("cookie", "visitor"))
    log, earlier = PostgresLog(application), structs.replace(earlier, originator_id=offer.id)
    log.load([offer])
    log.append([earlier], [])
    later = EventMapper([Offered, LaterAccepted], LATER)
    (stored,) = application.log.select_notifications(None, 2)
    assert stored.topic == "accepted.3"
    assert isinstance(stored.originator_id, UUID)
    row = EventRow(1, stored.originator_id, stored.topic, stored.state)
    again = read(later, row, offer.id, log._streams.open(offer.id, AT))
    assert isinstance(again.event, LaterAccepted)
    assert structs.asdict(again.event) == structs.asdict(earlier.event) | {"organization": "Acme"}
    assert again.private == earlier.private
    assert write(later, again).topic == "accepted.5"
    plain = row._replace(topic="accepted.2", state=encode_plain(earlier.event, msgpack.decode(row.state)[1]))
    assert read(later, plain, offer.id, log._streams.open(offer.id, AT)) == again


def test_a_later_build_reads_its_own_version_as_it_is(application: OfferlogApplication) -> None:
    """What was stored by the later build passes no upcaster."""
    later = EventMapper([LaterAccepted], LATER)
    earlier = build_example(Accepted, "x", full=True)
    event = LaterAccepted(**structs.asdict(earlier.event))
    row = write(later, RecordedEvent(earlier.originator_id, 1, event, earlier.private))
    application.log.insert_events([StoredEvent(row.originator_id, 1, row.topic, row.state)])
    (stored,) = application.log.select_events(row.originator_id)
    assert read(later, EventRow(1, row.originator_id, stored.topic, stored.state), STREAM.id).event == event
    assert later.to_domain_event(stored) == later.event(*row_of(row))


@pytest.mark.parametrize("missing", LATER)
def test_a_raised_version_without_its_upcaster_is_found_at_once(missing: tuple[str, int]) -> None:
    """The mapper is not even made, so that no event is read by guesswork."""
    with pytest.raises(LookupError):
        EventMapper([LaterAccepted], {key: upcaster for key, upcaster in LATER.items() if key != missing})


PRIVATE = [bytes(16), bytes(16)]
LAST = 2**31 - 1
"""The version of every example."""


def written(public: object, private: object = PRIVATE, kind: type[Event] = Accepted) -> bytes:
    """A stored state, sealed."""
    sealed = STREAM.seal(msgpack.encode(private), LAST, kind.stored_name.encode())
    return msgpack.encode([public, sealed])


def public_of(kind: type[Event], **changed: object) -> list[object]:
    """The stored public fields of an event of that kind, with some changed."""
    event = build_example(kind, "x", full=True).event
    encoded = msgpack.decode(msgpack.encode(event))
    fields = dict(zip(kind.__struct_fields__, encoded, strict=True))
    fields["action_map_id"] = bytes(16)
    return [*(fields | changed).values()]


UNREADABLE: dict[str, dict[str, Any]] = {
    "an unknown name": {"topic": "vanished.1"},
    "a later version": {"topic": "accepted.4"},
    "another form": {"topic": "accepted.3"},
    "the first format": {"topic": "accepted.1"},
    "version 0": {"topic": "accepted.0"},
    "no version": {"topic": "accepted"},
    "a version in letters": {"topic": "accepted.x"},
    "an import path": {"topic": "offerlog_domain.events:Accepted"},
    "nothing": {"state": b""},
    "no MessagePack": {"state": b"\xc1 no MessagePack"},
    "an empty array": {"state": b"\x90"},
    "an empty map": {"state": b"\x80"},
    "no public fields": {"state": written([])},
    "a short id": {"state": written(public_of(Accepted, action_map_id=b"short"))},
    "a time in words": {"state": written(public_of(Accepted, recorded_at="yesterday"))},
    "a number in words": {"state": written(public_of(Accepted, action_number="first"))},
    "a byte too many": {"state": written(public_of(Accepted)) + b"\x00"},
    "an unknown state": {
        "topic": "offer-refused.2",
        "state": written(public_of(OfferRefused, blocking_state="vanished")),
    },
    "a reason as a number": {"topic": "offer-refused.2", "state": written(public_of(OfferRefused, reason=7))},
    "another lifecycle event": {"topic": "rejected.2"},
    "another kind of event": {"topic": "offer-refused.2"},
}
"""Changes that make a stored `Accepted` unreadable: another name, no MessagePack, fields that are missing, of
the wrong type or of another kind of event; the first format."""

UNOPENED: dict[str, dict[str, Any]] = {
    "too few private fields": {"state": written(public_of(Accepted), [bytes(16)])},
    "private fields that are no array": {"state": written(public_of(Accepted), {"session_id": bytes(16)})},
    "not sealed": {"state": msgpack.encode([public_of(Accepted), msgpack.encode(PRIVATE)])},
    "sealed as another kind": {"state": written(public_of(Accepted), PRIVATE, Offered)},
    "sealed for another version": {"originator_version": LAST - 1},
    "sealed for another stream": {"originator_id": uuid4()},
}
"""Changes that keep the private fields closed; the public ones can be read."""


def stored_example(change: dict[str, Any]) -> StoredEvent:
    """A stored `Accepted`, with a change."""
    row = EventRow(LAST, STREAM.id, "accepted.2", written(public_of(Accepted)))
    return StoredEvent(**row._asdict() | change)


def open_stored(stored: StoredEvent) -> RecordedEvent[Event]:
    """Open it with the visitor's key."""
    assert isinstance(stored.originator_id, UUID)
    stream = OpenStream(stored.originator_id, STREAM.sealer)
    row = EventRow(stored.originator_version, stream.id, stored.topic, stored.state)
    return read(EventMapper(), row, uuid4(), stream)


def test_what_is_changed_below_could_be_read() -> None:
    """The states that each have one field changed are readable without the change."""
    for kind in (Accepted, OfferRefused):
        topic = f"{kind.stored_name}.2"
        stored = stored_example({"topic": topic, "state": written(public_of(kind), kind=kind)})
        assert isinstance(open_stored(stored).event, kind)


@pytest.mark.parametrize("change", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_named(change: dict[str, Any]) -> None:
    """The error names topic, stream and version of the event, and why; with the key and without."""
    stored = stored_example(change)
    for way in (EventMapper().to_domain_event, open_stored):
        check_named(stored, way)


@pytest.mark.parametrize("change", UNOPENED.values(), ids=UNOPENED)
def test_what_cannot_be_opened_is_named_and_can_still_be_counted(change: dict[str, Any]) -> None:
    """Changed, moved or meant for something else; projections that fold public fields go on."""
    stored = stored_example(change)
    check_named(stored, open_stored)
    sealed = EventMapper().to_domain_event(stored)
    assert isinstance(sealed, SealedEvent)
    assert isinstance(sealed.event, Accepted)


def check_named(stored: StoredEvent, way: Callable[[StoredEvent], object]) -> None:
    """The error of this way to read an event says which one it is, and why."""
    with pytest.raises(UnreadableEventError, match=rf"version {stored.originator_version}\): .") as caught:
        way(stored)
    error = caught.value
    assert (error.topic, error.originator_id) == (stored.topic, stored.originator_id)
    assert error.originator_version == stored.originator_version
    assert stored.topic in str(error)
    assert str(stored.originator_id) in str(error)
