"""The compact form of lifecycle events, and the short form of private fields: nothing is lost in them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import msgpack, structs

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_domain.event_fields import PrivateFields, RecordedEvent
from offerlog_domain.events import LIFECYCLE_EVENTS, Accepted, LifecycleEvent, Offered, Rejected
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.transparency.leaves import BLANKED_BYTES, split_state
from offerlog_infrastructure.postgres.log.event_encoding import (
    compact_decoder,
    decode_private,
    encode_compact,
    encode_private,
)
from offerlog_infrastructure.postgres.log.mapper import EventMapper, EventRow
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.sealing import Sealer, VisitorSealer

encode = msgpack.Encoder(uuid_format="bytes").encode

MOMENT = datetime(2026, 11, 22, 10, 0, 0, 123_456, UTC)
WHOLE = MOMENT.replace(microsecond=123_000)

moments = st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - given below
milliseconds = moments.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1_000 * 1_000))
near = st.integers(-(10**10), 10**10).map(lambda distance: WHOLE + timedelta(milliseconds=distance))
times = st.one_of(st.just(MOMENT), st.just(WHOLE), near, milliseconds, moments)
names = st.one_of(st.sampled_from(["default", "webchat", ""]), st.text(max_size=40))
counts = st.integers(0, 2**31 - 1)

fields = st.fixed_dictionaries(
    {
        "organization": names,
        "action_map_id": st.uuids(),
        "recorded_at": times,
        "media_type": names,
        "occurred_at": times,
        "dated": st.booleans(),
        "action_map_version": st.none() | counts,
        "action_map_name": st.none() | names,
        "timeout_seconds": st.none() | counts,
        "action_number": counts,
        "offered_at": times,
        "parked_version": st.none() | counts,
    }
)
texts = st.none() | st.text(max_size=50)
privates = st.builds(
    PrivateFields,
    session_id=st.uuids(),
    action_id=st.uuids(),
    event_id=st.none() | st.uuids(),
    error_code=texts,
    error_message=texts,
    blocking_action_id=st.none() | st.uuids(),
    raw=st.none() | st.binary(max_size=50),
)
SEALED = b"\x07" * 65


def build(kind: type[LifecycleEvent], given: dict[str, Any], stage: Stage = Stage.FORM) -> LifecycleEvent:
    """An event of that kind."""
    return Rejected(**given, rejected_stage=stage) if kind is Rejected else kind(**given)


USUAL: dict[str, Any] = {
    "organization": "default",
    "action_map_id": UUID(int=7),
    "recorded_at": MOMENT,
    "media_type": "webchat",
    "occurred_at": MOMENT,
    "action_number": 1,
    "offered_at": MOMENT,
}


@given(kind=st.sampled_from(sorted(LIFECYCLE_EVENTS)), facts=fields, stage=st.sampled_from(Stage))
@example(kind=State.OFFERED, facts=USUAL, stage=Stage.FORM)
@example(kind=State.REJECTED, facts=USUAL, stage=Stage.INVITATION)
def test_every_field_comes_back(kind: State, facts: dict[str, Any], stage: Stage) -> None:
    """To the microsecond, whatever is usual and however far times are apart; in UTC."""
    event = build(LIFECYCLE_EVENTS[kind], facts, stage)
    state = encode_compact(event, SEALED)
    again, sealed = compact_decoder(type(event))(state)
    assert (type(again), structs.asdict(again), sealed) == (type(event), structs.asdict(event), SEALED)
    assert isinstance(again, LifecycleEvent)
    assert {again.recorded_at.tzinfo, again.occurred_at.tzinfo, again.offered_at.tzinfo} == {UTC}
    parts = split_state(state)
    assert parts is not None
    assert parts[1] == SEALED


def test_what_is_usual_takes_no_place() -> None:
    """An organization that is the only one, the usual media type, times that are the same, no name."""
    state = encode_compact(build(Offered, USUAL), b"")
    assert msgpack.decode(state)[0][:2] == [None, UUID(int=7).bytes]
    assert msgpack.decode(state)[0][3:] == [None, None, 1]


@given(private=privates)
@example(private=PrivateFields(session_id=uuid4(), action_id=uuid4()))
@example(private=PrivateFields(session_id=uuid4(), action_id=uuid4(), event_id=uuid4()))
def test_every_private_field_comes_back(private: PrivateFields) -> None:
    """Of both forms, and of the long one of version 2. Sealed, none can be taken for a blanked part."""
    encoded = encode_private(private)
    assert decode_private(encoded) == private == decode_private(encode(private))
    assert len(encoded) <= len(encode(private))
    assert len(VisitorSealer(bytes(16)).seal(encoded, b"")) > BLANKED_BYTES


def test_private_fields_are_ids_alone_as_a_rule() -> None:
    """Without a byte between them."""
    one, two, three = (uuid4() for _ in range(3))
    both = PrivateFields(session_id=one, action_id=two)
    assert encode_private(both) == b"\x00" + one.bytes + two.bytes
    assert (
        encode_private(structs.replace(both, event_id=three)) == b"\x01" + one.bytes + two.bytes + three.bytes
    )


STREAM = OpenStream(uuid4(), VisitorSealer(b"k" * 32))
RECORDED = RecordedEvent(
    uuid4(), 3, build(Accepted, USUAL), PrivateFields(session_id=uuid4(), action_id=uuid4())
)


def test_a_row_of_an_older_build_is_read_as_before() -> None:
    """The plain form, the long form of private fields, AES-GCM, a key of 32 bytes."""
    place = STREAM.id.bytes + (3).to_bytes(4, "big") + b"accepted"
    sealed = Sealer(b"k" * 32).seal(encode(RECORDED.private), place)
    state = encode((RECORDED.event, sealed))
    mapper = EventMapper()
    assert mapper.open_event(RECORDED.originator_id, STREAM, 3, "accepted.2", state) == RECORDED
    assert mapper.event(STREAM.id, 3, "accepted.2", state).event == RECORDED.event
    again = mapper.row(RECORDED, STREAM)
    assert again.topic == "accepted.3"
    assert len(again.state) < len(state) - 50


@given(data=st.data())
def test_a_changed_row_is_never_read_as_another_one(data: st.DataObject) -> None:
    """A byte is changed, lost or added: the row is not opened, or its public part is not what was recorded.

    The tree over the log finds changes of public parts.
    """
    mapper = EventMapper()
    row = mapper.row(RECORDED, STREAM)
    at = data.draw(st.integers(0, len(row.state) - 1))
    byte = data.draw(st.binary(max_size=2).filter(lambda some: some != row.state[at : at + 1]))
    changed = row._replace(state=row.state[:at] + byte + row.state[at + 1 :])
    try:
        read = mapper.open_event(RECORDED.originator_id, STREAM, *changed[::2], changed.state)
    except UnreadableEventError:
        return
    assert read.private == RECORDED.private
    assert read.event != RECORDED.event or split_state(changed.state) != split_state(row.state)


UNREADABLE: dict[str, list[Any]] = {
    "too few fields": [None, bytes(16), MOMENT, None, None],
    "a short id": [None, bytes(15), MOMENT, None, None, 1],
    "no time": [None, bytes(16), 5, None, None, 1],
    "a time in words": [None, bytes(16), MOMENT, "before", None, 1],
    "a distance of more years than there are": [None, bytes(16), MOMENT, 2**62, None, 1],
    "a number in words": [None, bytes(16), MOMENT, None, None, "one"],
    "a rejection without a stage": [None, bytes(16), MOMENT, None, None, 1],
    "a stage that there is not": [None, bytes(16), MOMENT, None, None, 1, *[None] * 6, "lobby"],
}


@pytest.mark.parametrize("public", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_named(public: list[Any]) -> None:
    """As every event that cannot be read: a projection makes it a dead letter."""
    row = EventRow(1, STREAM.id, "rejected.3", encode([public, SEALED]))
    with pytest.raises(UnreadableEventError, match=r"rejected\.3"):
        EventMapper().event(row.originator_id, 1, row.topic, row.state)
