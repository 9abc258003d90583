"""Short signals: what is one, what is not, and that every reader says the same."""

import json
import random
from typing import Any

import pytest
from msgspec import structs

from offerlog_domain import wire
from offerlog_domain.fast_reading import convert_fast, read_fast
from offerlog_domain.lifecycle import State
from offerlog_domain.short_signals import ShortSignal, read_whole_or_short, whole_or_short_from_document
from offerlog_domain.signals import MalformedSignalError, NativeSignal, UntrackedEventError
from offerlog_domain.uuids import parse_uuid
from support.mutated_signals import mutate
from support.wire import BROWSER, ID, REQUIRED

SHORT: dict[str, Any] = {"actionId": ID, "actionState": "accepted", "sessionId": ID}
FULL = SHORT | {"errorCode": "00045", "errorMessage": "no frame", "id": ID}
SEED = 20_261_127
TEXTS = 600


def test_a_short_signal_is_read_as_text_and_as_an_object() -> None:
    """Null is the same as absent, unknown fields are ignored, and ids are put into lower case."""
    for fields in (SHORT, SHORT | {"actionMapId": None, "customerId": None, "x": 1}, SHORT | {"id": None}):
        least = ShortSignal(action_id=ID, state=State.ACCEPTED, session_id=ID)
        assert (
            read_whole_or_short(json.dumps(fields).encode()) == whole_or_short_from_document(fields) == least
        )
    read = whole_or_short_from_document(FULL | {"actionId": ID.upper()})
    assert read == ShortSignal(
        action_id=ID,
        state=State.ACCEPTED,
        session_id=ID,
        error_code="00045",
        error_message="no frame",
        event_id=ID,
    )


def test_our_name_of_the_event_id_wins() -> None:
    """The vendor's client calls it `id`."""
    other = ID[:-1] + "7"
    read = whole_or_short_from_document(FULL | {"eventId": other})
    assert read.event_id == other


@pytest.mark.parametrize(
    "more",
    [
        {"customerId": "anna"},
        {"customerIdType": "cookie"},
        {"actionMediaType": "webchat"},
        {"actionMapVersion": 3},
        {"actionMapName": "Help"},
        {"createdDate": "2026-11-22T10:00:00Z"},
        {"timeoutSeconds": 45},
    ],
    ids=lambda more: next(iter(more)),
)
def test_half_a_signal_is_malformed(more: dict[str, object]) -> None:
    """With any other field of a signal, what is missing is a fault."""
    with pytest.raises(MalformedSignalError) as caught:
        whole_or_short_from_document(SHORT | more)
    assert caught.value.field == "actionMapId"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sessionId": None}, "sessionId"),
        ({"sessionId": "x"}, "sessionId"),
        ({"id": "x"}, "id"),
        ({"eventId": "x"}, "eventId"),
        ({"actionState": "gone"}, "actionState"),
        ({"actionId": ID[:-1]}, "actionId"),
        ({"errorCode": True}, "errorCode"),
        ({"errorMessage": 1}, "errorMessage"),
    ],
)
def test_the_field_at_fault_is_named(fields: dict[str, object], field: str) -> None:
    """As of a whole signal."""
    with pytest.raises(MalformedSignalError) as caught:
        read_whole_or_short(json.dumps(SHORT | fields).encode())
    assert caught.value.field == field


def test_its_action_makes_a_whole_signal_of_it() -> None:
    """All but the customer, whom nobody names."""
    short, action_map = whole_or_short_from_document(FULL), parse_uuid(ID)
    assert isinstance(short, ShortSignal)
    whole = short.complete(action_map, "contentOffer", 4)
    expected = whole_or_short_from_document(
        REQUIRED | FULL | {"actionMapVersion": 4, "actionMediaType": "contentOffer", "eventId": ID}
    )
    assert isinstance(expected, NativeSignal)
    assert whole == structs.replace(expected, action_map_id=action_map, customer_id="", customer_id_type="")


def outcome(text: bytes) -> tuple[object, ...]:
    """What a reader makes of a text: the signal with the types of its fields, or the field at fault."""
    try:
        read = read_whole_or_short(text)
    except (MalformedSignalError, UntrackedEventError) as error:
        return type(error), error.field, str(error)
    if isinstance(read, ShortSignal):
        return "short", read
    return tuple((type(value), value) for value in structs.astuple(read))


def test_whatever_comes_is_read_alike_with_and_without_the_fast_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Short signals, whole ones, and what lies between, with hostile values."""
    # given
    texts = random.Random(SEED)  # noqa: S311 - the same texts again
    between = [SHORT, FULL, FULL, SHORT | {"customerId": "anna"}, REQUIRED, BROWSER]
    drawn = [mutate(texts, between) for _ in range(TEXTS)]
    # when
    fast = [outcome(text) for text in drawn]
    monkeypatch.setattr(wire, "read_fast", lambda _: None)
    monkeypatch.setattr(wire, "convert_fast", lambda _: None)
    slow = [outcome(text) for text in drawn]
    # then
    assert fast == slow
    shorts = [text for text, read in zip(drawn, fast, strict=True) if read[0] == "short"]
    assert TEXTS / 10 < len(shorts) < TEXTS
    for text in shorts:
        assert read_fast(text) is None
        document = json.loads(text)
        assert convert_fast(document) is None
        assert isinstance(whole_or_short_from_document(document), ShortSignal)
