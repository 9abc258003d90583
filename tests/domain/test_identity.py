"""Visitors, action maps and streams are values; their text is checked, and packed into bytes and back."""

import itertools
from typing import cast
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st

from offerlog_domain import identity
from offerlog_domain.identity import (
    ActionMapId,
    StreamKey,
    VisitorKey,
    parse_action_map_id,
    parse_visitor_key,
)
from offerlog_domain.signals import MalformedSignalError
from offerlog_domain.uuids import format_uuid, parse_uuid, unpack_uuid

MAP = "00000000-0000-0000-0000-000000000002"
SECRET, OTHER = b"1" * 32, b"2" * 32


@hypothesis.given(st.text(), st.text())
@hypothesis.settings(max_examples=50)
def test_a_visitor_is_the_same_after_a_way_through_bytes(id_type: str, customer_id: str) -> None:
    """As stores keep the two parts, each in UTF-8 and byte for byte."""
    # given
    visitor = VisitorKey(id_type, customer_id)
    # when
    packed = visitor.encode()
    # then
    assert packed == (id_type.encode(), customer_id.encode())
    assert VisitorKey.decode(*packed) == visitor


def test_every_part_of_the_identity_makes_another_stream() -> None:
    """Secret, id type, id and map; text that runs together does not."""
    kinds = (
        ("cookie", "a"),
        ("cooki", "ea"),
        ("cookie", "a\0"),
        ("c", "ookiea"),
        ("é", "a"),
        ("e", "\u0301a"),
    )
    streams = [
        StreamKey(secret).stream(VisitorKey(kind, customer), ActionMapId(action_map))
        for secret in (SECRET, OTHER)
        for kind, customer in kinds
        for action_map in (MAP, MAP[:-1] + "3")
    ]
    assert all(one != other for one, other in itertools.combinations(streams, 2))
    assert {stream.version for stream in streams} == {8}


def test_the_same_identity_is_the_same_stream_for_ever() -> None:
    """Streams written by one version of the program are found by the next."""
    key = StreamKey(SECRET)
    once = key.stream(VisitorKey("cookie", "visitor-1"), ActionMapId(MAP))
    assert str(once) == "80802b10-9e07-851a-b86b-40a6b49f92ac"
    assert key.stream(VisitorKey("cookie", "visitor-1"), ActionMapId(MAP)) == once
    other = key.stream(VisitorKey("cookie", "visitor-2"), ActionMapId(MAP))
    assert str(other) == "955534c4-582a-8042-a4c1-773c2cfde824"


def test_a_visitor_and_a_map_are_checked_as_the_fields_of_a_signal_are() -> None:
    """The customer id stays byte for byte; the map's id is kept in lower case."""
    assert parse_visitor_key(customer_id=" É\0", customer_id_type="cookie") == VisitorKey(
        type="cookie", id=" É\0"
    )
    assert parse_action_map_id(MAP[:-1] + "A") == MAP[:-1] + "a"


@pytest.mark.parametrize(
    ("customer_id", "customer_id_type", "message"),
    [
        ("", "cookie", "customerId: must not be empty"),
        ("x" * 257, "", "customerId: at most 256 characters"),
        ("\ud800", "cookie", "customerId: holds a lone surrogate, which is no text"),
        ("x", "", "customerIdType: must not be empty"),
    ],
)
def test_the_part_of_a_visitors_identity_at_fault_is_named_as_on_the_wire(
    customer_id: str, customer_id_type: str, message: str
) -> None:
    """The customer id first, where both are wrong."""
    with pytest.raises(MalformedSignalError) as caught:
        parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "checkout", MAP.replace("-", ""), MAP + " "])
def test_an_action_map_is_named_by_a_hyphenated_uuid(text: str) -> None:
    """No other text will do."""
    with pytest.raises(MalformedSignalError) as caught:
        parse_action_map_id(text)
    assert str(caught.value) == "actionMapId: a hyphenated UUID is needed"


@hypothesis.given(st.uuids())
def test_a_uuid_has_one_text_whichever_way_it_goes(uuid: UUID) -> None:
    """As the value, as 16 bytes, and read again."""
    assert format_uuid(uuid) == unpack_uuid(uuid.bytes) == str(uuid)
    assert parse_uuid(format_uuid(uuid)) == uuid


def test_a_key_remembers_which_stream_is_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Different visitors keep different streams, remembered or not; the oldest is forgotten first."""
    # given
    monkeypatch.setattr(identity, "_REMEMBERED_STREAMS", 2)
    key, visitors = StreamKey(SECRET), [VisitorKey("cookie", name) for name in "abc"]
    # when
    first = [key.stream(visitor, ActionMapId(MAP)) for visitor in visitors]
    again = [key.stream(visitor, ActionMapId(MAP)) for visitor in visitors]
    # then
    assert len(set(first)) == 3
    assert again == first
    assert [names[1] for names in key._remembered] == ["b", "c"]


def test_bytes_are_no_text() -> None:
    """A caller that passes them has made a mistake, which no decoding hides."""
    with pytest.raises(MalformedSignalError, match="customerId: text is needed"):
        parse_visitor_key(customer_id=cast("str", b"visitor-1"), customer_id_type="cookie")
