"""The causes that a sender reads: what is wrong, in words that say what to send."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from offerlog_domain.signals import (
    MAX_LINE_BYTES,
    WIRE_NAMES,
    MalformedSignalError,
    UntrackedEventError,
)
from offerlog_domain.wire import nesting, read_signal, signal_from_document
from support.wire import ID, REQUIRED, STORED

NAMED = [
    ({"actionId": None}, "actionId: is required"),
    ({"actionId": "7"}, "actionId: a hyphenated UUID is needed"),
    ({"actionMapName": 7}, "actionMapName: text is needed"),
    ({"customerId": ""}, "customerId: must not be empty"),
    ({"customerId": "x" * 257}, "customerId: at most 256 characters"),
    ({"customerId": "\ud800"}, "customerId: holds a lone surrogate, which is no text"),
    ({"timeoutSeconds": "3"}, "timeoutSeconds: a whole number is needed"),
    ({"timeoutSeconds": 3.5}, "timeoutSeconds: a whole number is needed"),
    ({"timeoutSeconds": 0}, "timeoutSeconds: Input should be greater than or equal to 1"),
    ({"actionState": "gone"}, "actionState: no state that the vendor knows"),
    ({"createdDate": "2026-02-30T10:00:00Z"}, "createdDate: no such time"),
    ({"actionId": None, "eventType": 7}, "actionId: is required"),
    ({"actionId": None, "eventType": ""}, "actionId: is required"),
]


def message(document: object) -> str:
    """What the error says of a document that is malformed."""
    with pytest.raises(MalformedSignalError) as raised:
        read_signal(json.dumps(document).encode())
    return str(raised.value)


@pytest.mark.parametrize(("change", "named_cause"), NAMED, ids=[named_cause for _, named_cause in NAMED])
def test_a_field_at_fault_is_named_with_its_cause(change: dict[str, Any], named_cause: str) -> None:
    """The error's own text is field and cause."""
    assert message(REQUIRED | change) == named_cause


def test_a_time_that_a_caller_hands_in_needs_an_offset_and_becomes_utc() -> None:
    """A time without one may mean any of a day's hours."""
    # given
    noon = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=2)))
    # then
    occurred_at = signal_from_document(REQUIRED | {"createdDate": noon}).occurred_at
    assert occurred_at is not None
    assert (occurred_at, occurred_at.tzinfo) == (noon, UTC)
    with pytest.raises(MalformedSignalError, match="createdDate: a time with an offset is needed"):
        signal_from_document(REQUIRED | {"createdDate": noon.replace(tzinfo=None)})


@pytest.mark.parametrize("text", [b"7", b"[]", b"null"])
def test_what_is_not_an_object_is_told_that_one_is_needed(text: bytes) -> None:
    """Without a field, the error's own text is the cause alone."""
    assert message(json.loads(text)) == "a JSON object is needed"


def test_the_stored_form_is_told_where_an_object_is_needed() -> None:
    """By the path up to there."""
    assert message(STORED | {"session": "x"}) == "session: a JSON object is needed"


def test_a_line_that_is_too_long_is_told_how_long_it_may_be() -> None:
    """In the unit of the docs."""
    with pytest.raises(MalformedSignalError) as raised:
        read_signal(b" " * (MAX_LINE_BYTES + 1))
    assert str(raised.value) == "longer than 64 KiB"


def test_another_event_is_told_so() -> None:
    """Without its type, which may be anything: a cause is stored as it is."""
    with pytest.raises(UntrackedEventError) as raised:
        signal_from_document({"eventType": "x" * 101})
    cause = "this is not a web action event, and only those are tracked"
    assert (raised.value.cause, str(raised.value)) == (cause, f"eventType: {cause}")


DIGITS = "4711471147114711"
"""Stands in every value below, as text, as a number or as a name."""

VALUES: list[Any] = [
    *(DIGITS, f"{DIGITS}-01-01T00:00:00Z", f"2026-02-30T00:00:00.{DIGITS}Z", DIGITS * 300, f"\ud800{DIGITS}"),
    *(int(DIGITS), -int(DIGITS), int(DIGITS * 9), float(DIGITS), f"0.{DIGITS}"),
    *([DIGITS], [int(DIGITS)], {DIGITS: DIGITS}, {"id": DIGITS, "state": [DIGITS]}),
]


def cause_of(text: bytes) -> str:
    """Field and cause of the refusal of a text; empty where it is a signal."""
    try:
        read_signal(text)
    except (MalformedSignalError, UntrackedEventError) as error:
        return f"{error.field} {error.cause}"
    return ""


@pytest.mark.parametrize("document", [REQUIRED, STORED], ids=["browser", "stored"])
def test_no_cause_quotes_a_value_of_the_signal(document: dict[str, Any]) -> None:
    """A cause is stored as it is, and texts are sealed."""
    # given
    names = [*WIRE_NAMES.values(), *document, "eventType", "eventBody", "entities", DIGITS]
    texts = [json.dumps(document | {name: value}).encode() for name in names for value in VALUES]
    texts += [json.dumps({"actionId": None, name: value}).encode() for name in names for value in VALUES]
    # when
    causes = [cause_of(text) for text in texts]
    # then
    assert sum(cause != "" for cause in causes) > 200
    assert not [cause for cause in causes if DIGITS[:8] in cause]


@pytest.mark.parametrize(
    "text",
    [
        b"4711471147114711", b'"4711471147114711"', b"[4711471147114711]", b"x4711471147114711",
        b'{"a": 4711471147114711x}', b'{"a": "\\x4711471147114711"}', b'{"a": "4711471147114711\x01"}',
        b'{"a": "4711471147114711', b'{"4711471147114711" 1}', b"\xff4711471147114711", b"{4711471147114711}",
    ],
)  # fmt: skip
def test_no_cause_quotes_a_text_that_is_not_json(text: bytes) -> None:
    """Only the place of the fault is told."""
    assert cause_of(text) != ""
    assert DIGITS[:8] not in cause_of(text)


def test_nesting_is_counted_bracket_by_bracket() -> None:
    """Behind each bracket stands its depth; brackets in strings do not count; a reader may start later."""
    text = '[{"a": "]}\\"["}, X[]]'
    depths = [(text[place - 1], depth) for place, depth in nesting(text)]
    assert depths == [("[", 1), ("{", 2), ("}", 1), ("[", 2), ("]", 1), ("]", 0)]
    assert [depth for _, depth in nesting(text, 1)][:2] == [1, 0]


@pytest.mark.parametrize(("depth", "is_read"), [(199, True), (200, False)])
def test_a_signal_may_be_nested_two_hundred_deep(depth: int, is_read: bool) -> None:  # noqa: FBT001 - pytest's way
    """Its own braces are the first level; a field that is ignored counts as well."""
    inner: object = "NaN"  # sends the text the slow way, as the fast one has another limit
    for _ in range(depth):
        inner = [inner]
    if is_read:
        assert read_signal(json.dumps(REQUIRED | {"x": inner, "y": []}).encode()) == signal_from_document(
            REQUIRED
        )
    else:
        assert message(REQUIRED | {"x": inner, "y": []}) == "nested too deeply"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Five hundred empty lists in a row are two levels."""
    text = json.dumps(REQUIRED | {"x": [[]] * 500, "y": "NaN"}).encode()
    assert read_signal(text) == signal_from_document(REQUIRED)


@pytest.mark.parametrize(
    ("document", "event_id"),
    [
        (REQUIRED | {"actionState": "gone", "eventId": ID.upper()}, ID),
        (REQUIRED | {"actionState": "gone", "eventId": "7"}, None),
        (REQUIRED | {"actionState": "gone", "eventId": 7}, None),
        (REQUIRED | {"actionState": "gone", "id": ID}, None),
        (STORED | {"session": "x", "id": ID}, ID),
        (STORED | {"session": "x", "id": None, "eventId": ID}, None),
        ({"eventType": "OutcomeAchievedEvent", "eventId": ID}, ID),
    ],
)
def test_the_error_has_the_id_of_what_cannot_be_read(document: dict[str, Any], event_id: str | None) -> None:
    """In lower case, from the field of the document's own form, and only where it is a UUID."""
    with pytest.raises((MalformedSignalError, UntrackedEventError)) as raised:
        signal_from_document(document)
    assert isinstance(raised.value, MalformedSignalError | UntrackedEventError)
    assert raised.value.event_id == event_id
