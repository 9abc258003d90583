"""What cannot be read as a signal says which field is at fault and why."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offerlog_domain.signals import (
    MAX_LINE_BYTES,
    MalformedSignalError,
    NativeSignal,
    Signal,
    UntrackedEventError,
)
from offerlog_domain.wire import read_signal, signal_from_document
from support.wire import ID, REQUIRED, STORED

NO_UUIDS = [
    "",
    "x",
    ID[:-1],
    ID + "a",
    "{" + ID + "}",
    ID.replace("-", ""),
    ID + "\n",
    " " + ID,
    "é" + ID[1:],
    7,
]
NO_TEXT = [7, 1.5, True, [], {}, "\ud800", "a\udfffb"]
NO_NAMES = [*NO_TEXT, "", "x" * 257]
NO_TIMES = [
    "", "2026-11-22", "10:00:00Z", "2026-11-22T10:00:00", "2026-11-22T10:00Z", "20261122T100000Z",
    1700000000, "2026-11-22T10:00:00+0100", "2026-11-22T10:00:00+01", "2026-11-22T10:00:00+24:00",
    "2026-11-22T10:00:00+01:60", "2026-13-01T10:00:00Z", "2026-02-29T10:00:00Z", "2026-11-22T25:00:00Z",
    "2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2026-11-22T10:00:61Z", "2026-11-22T10:00:00.Z",
    "2026-11-22T10:00:00,5Z", "2026-11-22T10:00:00Z\n", " 2026-11-22T10:00:00Z", "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z",
    "\uff12026-11-22T10:00:00Z", "2026-11-22T10:00:00.12aZ", "2026-W47-7T10:00:00Z",
    "2026-11-22T10:00:00.123z ", "2026-11-22T10:00:00.1234", "\ud800", True, {}, [],
]  # fmt: skip
NO_WHOLE_NUMBERS = ["3", 3.5, True, [], {}]

WRONG: dict[str, list[Any]] = {
    "actionId": NO_UUIDS,
    "actionMapId": NO_UUIDS,
    "sessionId": NO_UUIDS,
    "eventId": NO_UUIDS,
    "actionState": [
        "",
        "Offered",
        "OFFERED",
        "offered ",
        "timed out",
        "qualified\n",
        7,
        True,
        [],
        {},
        "\ud800",
    ],
    "actionMediaType": NO_NAMES,
    "customerId": NO_NAMES,
    "customerIdType": NO_NAMES,
    "actionMapVersion": [*NO_WHOLE_NUMBERS, 2**63, -(2**63) - 1, 10**400],
    "timeoutSeconds": [*NO_WHOLE_NUMBERS, 0, -1, 86401, 10**400],
    "errorCode": [True, False, [], {}, "\ud800"],
    "errorMessage": NO_TEXT,
    "actionMapName": NO_TEXT,
    "createdDate": NO_TIMES,
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]


def fault(text: bytes) -> tuple[str | None, str]:
    """Field and cause of a text that must be malformed."""
    with pytest.raises(MalformedSignalError) as raised:
        read_signal(text)
    return raised.value.field, raised.value.cause


@pytest.mark.parametrize(("name", "value"), CASES)
def test_each_field_that_is_wrong_is_named(name: str, value: object) -> None:
    """With a cause for people, in text and in decoded JSON alike."""
    document = REQUIRED | {name: value}
    field, cause = fault(json.dumps(document).encode())
    assert field == name
    assert cause
    with pytest.raises(MalformedSignalError) as raised:
        signal_from_document(document)
    assert (raised.value.field, raised.value.cause) == (field, cause)


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_field_that_is_absent_or_null_is_named(name: str) -> None:
    """Null is the same as absent."""
    absent = {other: value for other, value in REQUIRED.items() if other != name}
    assert fault(json.dumps(absent).encode())[0] == name
    assert fault(json.dumps(absent | {name: None}).encode()) == fault(json.dumps(absent).encode())


def test_our_own_names_of_fields_are_not_those_on_the_wire() -> None:
    """Only the vendor's spelling counts."""
    ours = {field.alias: name for name, field in vars(Signal)["__pydantic_fields__"].items()}
    for name in REQUIRED:
        other = {ours[key] if key == name else key: value for key, value in REQUIRED.items()}
        assert fault(json.dumps(other).encode())[0] == name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("webActionEvent", "action", "id"), None),
        (("webActionEvent", "action", "state"), "gone"),
        (("webActionEvent", "action", "mediaType"), 7),
        (("webActionEvent", "actionMap", "id"), "x"),
        (("webActionEvent", "actionMap", "version"), "3"),
        (("webActionEvent", "actionMap", "displayName"), 7),
        (("webActionEvent", "errorCode"), []),
        (("webActionEvent", "errorMessage"), 7),
        (("webActionEvent", "action"), "x"),
        (("webActionEvent", "actionMap"), []),
        (("webActionEvent",), 7),
        (("session", "id"), "x"),
        (("session",), "x"),
        (("customerId",), None),
        (("customerIdType",), ""),
        (("id",), "x"),
        (("createdDate",), "yesterday"),
    ],
)
def test_the_stored_form_names_its_own_fields(path: tuple[str, ...], value: object) -> None:
    """By their path, with dots."""

    def changed(document: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        inner = value if len(path) == 1 else changed(document[path[0]], path[1:])
        return {**document, path[0]: inner}

    assert fault(json.dumps(changed(STORED, path)).encode())[0] == ".".join(path)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"null", b"7", b'"offered"', b"[]", b"[{}]", b"{", b"{}}", b"{'a': 1}", b"\xff", b"{\x00}",
        b"[" * 60_000, b'{"a":' * 10_000, b"nonsense", b"{" + b"9" * 5_000,
    ],
)  # fmt: skip
def test_what_is_no_json_object_names_no_field(text: bytes) -> None:
    """The whole text is at fault, but for an empty object, where the first required field is."""
    field, cause = fault(text)
    assert field is None
    assert cause
    assert fault(b"{}")[0] is not None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("name", ["errorCode", "unknown"])
def test_what_is_no_number_of_json_makes_it_no_json(number: str, name: str) -> None:
    """Whichever field it stands in."""
    text = json.dumps(REQUIRED)[:-1] + f', "{name}": {number}}}'
    assert fault(text.encode())[0] is None


def test_a_line_longer_than_64_kib_is_not_read() -> None:
    """Not even if all of its length is blank."""
    assert fault(json.dumps(REQUIRED).encode().ljust(MAX_LINE_BYTES + 1))[0] is None


def test_text_that_is_not_utf_8_is_not_read() -> None:
    """Latin-1, and a lone surrogate written as if it were a character."""
    text = json.dumps(REQUIRED | {"customerId": "é"}, ensure_ascii=False)
    assert fault(text.encode("latin-1"))[0] is None
    surrogate = json.dumps(REQUIRED | {"customerId": "\ud800"}, ensure_ascii=False)
    assert fault(surrogate.encode("utf-8", "surrogatepass"))[0] is None


UNHURRIED = settings(deadline=None)  # the machine is shared

TEXT = st.text('aZ0 {"\\\0\n\u0301é🛒\ud800', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*WRONG, "eventType", "webActionEvent", "session", "id", "x"])


@UNHURRIED
@given(st.binary(max_size=200))
@example(b'{"errorCode": 1e1000000000000000000}')
@example(b'{"webActionEvent": 1e-1000000000000000000}')
def test_reading_arbitrary_bytes_raises_nothing_but_malformed(text: bytes) -> None:
    """Whatever comes in, one bad line harms no other."""
    with pytest.raises(MalformedSignalError):
        read_signal(text)


@UNHURRIED
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from([REQUIRED, STORED]))
@example({"eventType": "WebActionEvent"}, REQUIRED)
def test_text_and_decoded_json_are_read_alike(changes: dict[str, Any], of: dict[str, Any]) -> None:
    """Both read the same signal, or both are malformed in the same field."""
    document = of | changes
    text = json.dumps(document)

    def outcome(read: Any, given: Any) -> NativeSignal | str | None:
        try:
            result: NativeSignal = read(given)
        except (MalformedSignalError, UntrackedEventError) as error:
            return error.field
        return result

    assert outcome(read_signal, text.encode()) == outcome(signal_from_document, json.loads(text))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[" * 60_000, "nested too deeply"),
        ('{"a":' * 10_000, "nested too deeply"),
        ('{"errorCode":' + "9" * 5_000 + "}", "a number has too many digits"),
        ('{"errorCode":-Infinity}', "not JSON: -Infinity is no JSON value"),
    ],
    ids=["arrays", "objects", "digits", "constant"],
)
def test_what_python_cannot_take_is_told_in_our_words(text: str, cause: str) -> None:
    """The cause is for whoever sent it: nothing of stacks and interpreters."""
    with pytest.raises(MalformedSignalError) as raised:
        read_signal(text.encode())
    assert (raised.value.field, raised.value.cause) == (None, cause)
