"""Visitors, action maps and visitor-offers are values; their text is checked."""

import hmac
from typing import cast
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st

from offerlog_domain import identity
from offerlog_domain.identity import (
    OrganizationKey,
    VisitorKey,
    name_offer,
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


KINDS = (("cookie", "a"), ("cooki", "ea"), ("cookie", "a\0"), ("c", "ookiea"), ("é", "a"), ("e", "\u0301a"))
"""Types and ids that give the same text, or nearly, one behind the other."""


def test_every_part_of_the_identity_makes_another_digest() -> None:
    """Secret, id type and id; text that runs together does not."""
    digests = [
        OrganizationKey("acme", secret).digest(VisitorKey(kind, customer))
        for secret in (SECRET, OTHER)
        for kind, customer in KINDS
    ]
    assert len(set(digests)) == len(digests)


def test_a_digest_is_hmac_with_the_secret() -> None:
    """The first half of HMAC-SHA-256 over the length of the type, the type and the id."""
    for kind, customer in KINDS:
        text = b"%d:%b%b" % (len(kind.encode()), kind.encode(), customer.encode())
        expected = UUID(bytes=hmac.digest(SECRET, text, "sha256")[:16])
        assert OrganizationKey("acme", SECRET).digest(VisitorKey(kind, customer)) == expected


def test_the_same_identity_has_the_same_digest_for_ever() -> None:
    """Visitors recorded by one version of the program are found by the next."""
    key = OrganizationKey("acme", SECRET)
    assert [str(key.digest(VisitorKey("cookie", name))) for name in ("visitor-1", "visitor-2")] == [
        "389d6487-fead-6842-32cf-e23a91b6f097",
        "7beda87e-4d12-1407-9fce-9f85676e5373",
    ]


def test_a_visitor_and_a_map_together_name_one_visitor_offer() -> None:
    """Another visitor, map or organization has another name; its parts are in it."""
    # given
    visitors = [VisitorKey(*kind) for kind in KINDS]
    maps = [UUID(MAP), UUID(int=3), UUID(int=2**127)]
    keys = [OrganizationKey("acme", SECRET), OrganizationKey("other", OTHER)]
    # when
    offers = [key.offer(visitor, one) for key in keys for visitor in visitors for one in maps]
    # then
    assert len({offer.id for offer in offers}) == len(offers)
    asked = [
        (name, who, key.digest(who), one)
        for name, key in zip(("acme", "other"), keys, strict=True)
        for who in visitors
        for one in maps
    ]
    named = [(one.organization, one.visitor, one.visitor_digest, one.action_map_id) for one in offers]
    assert named == asked


def test_a_visitor_offer_has_one_id_whether_or_not_the_visitor_is_known() -> None:
    """By the digest alone, or with the identity."""
    offer = OrganizationKey("acme", SECRET).offer(VisitorKey("cookie", "a"), UUID(MAP))
    by_digest = name_offer("acme", offer.visitor_digest, offer.action_map_id)
    assert by_digest.id == offer.id
    assert (by_digest.visitor, offer.visitor) == (None, VisitorKey("cookie", "a"))


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


def test_a_key_remembers_which_visitor_offer_is_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Different visitors keep different names, remembered or not; the oldest is forgotten first."""
    # given
    monkeypatch.setattr(identity, "_REMEMBERED_OFFERS", 2)
    key, visitors = OrganizationKey("acme", SECRET), [VisitorKey("cookie", name) for name in "abc"]
    # when
    first = [key.offer(visitor, UUID(MAP)) for visitor in visitors]
    again = [key.offer(visitor, UUID(MAP)) for visitor in visitors]
    # then
    assert len(set(first)) == 3
    assert again == first
    assert [names[1] for names in key._remembered] == ["b", "c"]


def test_bytes_are_no_text() -> None:
    """A caller that passes them has made a mistake, which no decoding hides."""
    with pytest.raises(MalformedSignalError, match="customerId: text is needed"):
        parse_visitor_key(customer_id=cast("str", b"visitor-1"), customer_id_type="cookie")


def test_a_visitor_offer_is_named_once_for_signals_that_come_close_together() -> None:
    """Whoever asks again gets the same object."""
    key = OrganizationKey("acme", SECRET)
    visitor = VisitorKey("cookie", "a")
    assert key.offer(visitor, UUID(MAP)) is key.offer(visitor, UUID(MAP))
    assert key.offer(visitor, UUID(MAP)) is not key.offer(visitor, UUID(int=7))
