"""The fast reading accepts only what pydantic accepts, with the same value; pydantic decides on all else."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from msgspec import structs

from offerlog_domain import wire
from offerlog_domain.fast_reading import convert_fast, read_fast
from offerlog_domain.signals import (
    MalformedSignalError,
    NativeSignal,
    Signal,
    UntrackedEventError,
    to_native,
)
from offerlog_domain.wire import read_signal, signal_from_document, validate_document, validate_text
from support.mutated_signals import SEED, TEXTS, mutate
from support.wire import BROWSER, ID, REQUIRED, STORED


def values(signal: NativeSignal) -> list[tuple[type, object]]:
    """Every field of a signal with its type: 1 and True are equal."""
    return [(type(value), value) for value in structs.astuple(signal)]


def signal_of(text: bytes) -> Signal:
    """The signal of a state that pydantic reads in a text."""
    signal = validate_text(text)
    assert isinstance(signal, Signal)
    return signal


def signal_of_document(document: object) -> Signal:
    """The same, of a decoded document."""
    signal = validate_document(document)
    assert isinstance(signal, Signal)
    return signal


def by_pydantic(text: bytes) -> NativeSignal | None:
    """The signal that pydantic reads; None for a text that is not one."""
    try:
        return to_native(signal_of(text))
    except (MalformedSignalError, UntrackedEventError):
        return None


def test_what_is_accepted_of_mutated_texts_pydantic_reads_alike() -> None:
    """Members with hostile values, repeated, escaped or unknown ones, and spoilt bytes."""
    # given
    print(f"{TEXTS} texts of seed {SEED}")  # noqa: T201 - pytest shows it where the test fails
    texts = random.Random(SEED)  # noqa: S311 - the same texts again
    accepted, declined_though_valid = 0, 0
    for number in range(TEXTS):
        text = mutate(texts)
        # when
        fast, slow = read_fast(text), by_pydantic(text)
        # then
        if fast is None:
            declined_though_valid += slow is not None
            continue
        accepted += 1
        assert slow is not None, f"seed {SEED}, text {number}: {text!r}"
        assert values(fast) == values(slow), f"seed {SEED}, text {number}: {text!r}"
    assert accepted > TEXTS / 8
    assert declined_though_valid > 0


def field_at_fault(text: bytes) -> str | None:
    """The field that the reader of signals names, "" for the whole text; None where it reads a signal."""
    try:
        read_signal(text)
    except (MalformedSignalError, UntrackedEventError) as error:
        return error.field or ""
    return None


def test_what_is_accepted_of_decoded_mutated_texts_pydantic_reads_alike() -> None:
    """A caller in process hands in objects, whose text may hold lone surrogates."""
    # given
    print(f"{TEXTS} texts of seed {SEED}")  # noqa: T201 - pytest shows it where the test fails
    texts = random.Random(SEED)  # noqa: S311 - the same texts again
    accepted = 0
    for number in range(TEXTS):
        try:
            document = json.loads(mutate(texts))
        except ValueError:
            continue
        # when
        fast = convert_fast(document)
        # then
        if fast is not None:
            accepted += 1
            slow = to_native(signal_of_document(document))
            assert values(fast) == values(slow), f"seed {SEED}, text {number}: {document!r}"
    assert accepted > TEXTS / 8


OBJECTS: dict[str, dict[str, Any]] = {
    "a lone surrogate": {"customerId": "\ud800"},
    "one behind others": {"errorMessage": "é\udfff"},
    "a whole number with a fraction": {"timeoutSeconds": 45.0},
    "true for a number": {"actionMapVersion": True},
    "bytes for text": {"customerId": b"x"},
    "a message that is cut": {"errorMessage": "y" * 4_097},
    "a time that is one already": {"createdDate": datetime(2026, 11, 22, 10, tzinfo=UTC)},
    "an error code with a fraction": {"errorCode": 1.5},
    "a number beyond 64 bits": {"actionMapVersion": 2**63},
}


@pytest.mark.parametrize("members", OBJECTS.values(), ids=OBJECTS)
def test_a_decoded_object_with_a_trap_is_declined(members: dict[str, Any]) -> None:
    """Pydantic decides."""
    assert convert_fast(BROWSER | members) is None
    assert convert_fast(BROWSER) is not None


@pytest.mark.parametrize("document", [BROWSER, STORED], ids=["browser form", "stored form"])
def test_a_usual_signal_needs_no_validation_by_pydantic(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text or as an object; every page view sends some."""
    # given
    text = json.dumps(document).encode()
    expected = to_native(signal_of(text))
    monkeypatch.setattr(wire, "validate_text", None)
    monkeypatch.setattr(wire, "validate_document", None)
    # then
    assert values(read_signal(text)) == values(signal_from_document(document)) == values(expected)


def test_the_stored_form_tells_its_media_type() -> None:
    """It stands with the action there."""
    # given
    event = STORED["webActionEvent"]
    other = STORED | {"webActionEvent": event | {"action": event["action"] | {"mediaType": "contentOffer"}}}
    # when
    signal = convert_fast(other)
    # then
    assert signal is not None
    assert signal.media_type == "contentOffer"
    assert values(signal) == values(to_native(signal_of_document(other)))


def browser(**members: str) -> bytes:
    """The required members and these, whose values are JSON text."""
    written = json.dumps(REQUIRED)[:-1]
    return (written + "".join(f', "{name}": {value}' for name, value in members.items()) + "}").encode()


def instead(name: str, value: str) -> bytes:
    """All members, one of them with another value, which is JSON text."""
    return json.dumps(BROWSER | {name: "\0"}).replace('"\\u0000"', value).encode()


SMALL: Final = ID.replace("-", "")
TRAPS: dict[str, tuple[bytes, str | None]] = {
    "an action id without hyphens": (instead("actionId", f'"{SMALL}"'), "actionId"),
    "a map id without hyphens": (instead("actionMapId", f'"{SMALL}"'), "actionMapId"),
    "a session id without hyphens": (instead("sessionId", f'"{SMALL}"'), "sessionId"),
    "an event id without hyphens": (instead("eventId", f'"{SMALL}"'), "eventId"),
    "an escaped id without hyphens": (instead("eventId", f'"\\u0031{SMALL[1:]}"'), "eventId"),
    "hyphens in other places": (instead("eventId", f'"{SMALL[:4]}-{SMALL[4:31]}---{SMALL[31:]}"'), "eventId"),
    "an offset without a colon": (instead("createdDate", '"2026-11-22T10:00:00+0000"'), "createdDate"),
    "a time without an offset": (instead("createdDate", '"2026-11-22T10:00:00.123"'), "createdDate"),
    "a week of the year": (instead("createdDate", '"2026-W47-7T10:00:00.000Z"'), "createdDate"),
    "a comma before the fraction": (instead("createdDate", '"2026-11-22T10:00:00,123Z"'), "createdDate"),
    "a whole number with a fraction": (instead("timeoutSeconds", "45.0"), "timeoutSeconds"),
    "a whole number with an exponent": (instead("actionMapVersion", "1e0"), "actionMapVersion"),
    "true for a number": (instead("actionMapVersion", "true"), "actionMapVersion"),
    "a number beyond 64 bits": (instead("actionMapVersion", str(2**63)), "actionMapVersion"),
    "a boolean for an error code": (instead("errorCode", "false"), "errorCode"),
    "a lone surrogate": (instead("customerId", '"\\ud800"'), "customerId"),
    "257 characters of four bytes": (instead("customerId", '"' + "\\ud83d\\uded2" * 257 + '"'), "customerId"),
    "an error code of 257 characters": (instead("errorCode", '"' + "x" * 257 + '"'), "errorCode"),
    "a map name of 257 characters": (instead("actionMapName", '"' + "x" * 257 + '"'), "actionMapName"),
    "a time-out of more than a day": (instead("timeoutSeconds", "86401"), "timeoutSeconds"),
    "an empty name": (instead("customerIdType", '""'), "customerIdType"),
    "an error code of 257 digits": (instead("errorCode", "9" * 257), "errorCode"),
    "null for a required member": (instead("actionId", "null"), "actionId"),
    "a repeated member, wrong the last time": (browser(customerId='""'), "customerId"),
    "not UTF-8 in a value that is skipped": (browser(x='"?"').replace(b"?", b"\xff"), ""),
    "not UTF-8 in a name that is skipped": (browser(x="1").replace(b'"x"', b'"\xff"'), ""),
    "a surrogate in UTF-8, skipped": (browser(x='"?"').replace(b"?", b"\xed\xa0\x80"), ""),
    "a number of 5,000 digits, skipped": (browser(x="9" * 5_000), ""),
    "no JSON number, skipped": (browser(x="NaN"), ""),
    "nested 201 times": (browser(x="[" * 200 + "]" * 200), ""),
    "bytes behind the object": (json.dumps(BROWSER).encode() + b"\0", ""),
    "longer than 64 KiB": (json.dumps(BROWSER).encode().ljust(65_537), ""),
    "another event of the vendor": (browser(eventType='"x"').replace(b'"actionId"', b'"y"'), "eventType"),
    "the stored form's type": (browser(eventType='"WebActionEvent"'), "webActionEvent.action.id"),
    "the same, escaped": (browser(eventType='"\\u0057ebActionEvent"'), "webActionEvent.action.id"),
    "an event type that is a number": (browser(eventType="7"), None),
    "a stored form without hyphens": (json.dumps(STORED | {"session": {"id": SMALL}}).encode(), "session.id"),
    "a stored form that names its type twice": (
        json.dumps(STORED)[:-1].encode() + b', "eventType": "WebActionEvents"}', "eventType",
    ),
    "null in the stored form": (json.dumps(STORED | {"customerIdType": None}).encode(), None),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(BROWSER).encode(), None),
    "an error code with a fraction": (instead("errorCode", "1.50"), None),
    "an error code beyond 64 bits": (instead("errorCode", "9" * 30), None),
    "null where there is a default": (instead("customerIdType", "null"), None),
    "a message that is cut": (instead("errorMessage", '"' + "y" * 4_097 + '"'), None),
    "a lone surrogate in a value that is skipped": (browser(x='"\\ud800"'), None),
    "a lone surrogate in a name that is skipped": (browser(**{"\\ud800": "1"}), None),
    "a wrong member that is repeated": (browser(timeoutSeconds='"x", "timeoutSeconds": 45'), None),
}  # fmt: skip
"""Texts on which readers differ, each with the field at fault: "" for the whole text, None for none."""


@pytest.mark.parametrize(("text", "field"), TRAPS.values(), ids=TRAPS)
def test_a_trap_is_declined_and_pydantic_decides(text: bytes, field: str | None) -> None:
    """The answer is pydantic's, whether the text is a signal or not."""
    assert read_fast(text) is None
    assert field_at_fault(text) == field
    if field is None:
        assert read_signal(text) == to_native(signal_of(text))


USUAL: dict[str, bytes] = {
    "all members": json.dumps(BROWSER).encode(),
    "the stored form": json.dumps(STORED).encode(),
    "the stored form with what we do not keep": json.dumps(STORED | {"browser": {"family": "x"}}).encode(),
    "the required ones": json.dumps(REQUIRED).encode(),
    "not ASCII": json.dumps(BROWSER, ensure_ascii=False).encode(),
    "with spaces and unknown members": json.dumps(BROWSER | {"x": {"y": [1, None]}}, indent=2).encode(),
    "an error code that is a number": instead("errorCode", "45"),
    "upper case": instead("actionId", f'"{ID.upper()}"'),
    "an offset": instead("createdDate", '"2026-11-22T10:00:00+05:45"'),
    "digits past the microsecond": instead("createdDate", '"2026-11-22T10:00:00.1234569Z"'),
    "a leap second": instead("createdDate", '"2016-12-31T23:59:60Z"'),
    "lower case in the time": instead("createdDate", '"2026-11-22t10:00:00z"'),
    "a space in the time": instead("createdDate", '"2026-11-22 10:00:00Z"'),
    "256 characters of four bytes": instead("customerId", '"' + "\\ud83d\\uded2" * 256 + '"'),
    "a state that is not tracked": instead("actionState", '"completed"'),
    "null for what is optional": json.dumps(BROWSER | {"eventId": None, "createdDate": None}).encode(),
    "a member that is repeated": browser(customerId='"the last"'),
}


@pytest.mark.parametrize("text", USUAL.values(), ids=USUAL)
def test_a_usual_text_is_accepted_and_means_what_pydantic_reads(text: bytes) -> None:
    """Or the fast reading would be of no use."""
    fast = read_fast(text)
    assert fast is not None
    assert values(fast) == values(to_native(signal_of(text)))


@pytest.mark.parametrize("levels", [1, 199, 200])
@pytest.mark.parametrize(("opening", "value", "closing"), [("[", "", "]"), ('{"":', "1", "}")])
def test_no_text_that_is_nested_too_deeply_is_short(
    levels: int, opening: str, value: str, closing: str
) -> None:
    """The brackets of a short text are not counted: with the required members it has no room for them."""
    # given
    shortest = REQUIRED | {"customerId": "x"}
    written = json.dumps(shortest, separators=(",", ":"))[:-1]
    text = f'{written},"":{opening * levels}{value}{closing * levels}}}'.encode()
    # when
    fast = read_fast(text)
    # then
    assert (fast is None) is (levels == 200)
    assert (by_pydantic(text) is None) is (levels == 200)


def test_a_caller_in_process_cannot_hand_in_a_signal_that_nobody_validated() -> None:
    """What a caller makes is a `Signal`, whose constructor validates; the native one is made of it."""
    fields: dict[str, Any] = {"action_id": "x", "state": "offered", "action_map_id": ID, "customer_id": "c"}
    make: Callable[..., Signal] = Signal
    with pytest.raises(ValueError, match="action_id"):
        make(**fields, session_id=ID)
    native = to_native(make(**fields | {"action_id": ID.upper()}, session_id=ID))
    assert str(native.action_id) == ID
