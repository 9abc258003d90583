"""Both wire forms of a signal, field by field, and what a signal may hold."""

import json
import warnings
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from offerlog_domain.lifecycle import State, UntrackedState
from offerlog_domain.signals import MAX_LINE_BYTES, WIRE_NAMES, NativeSignal, Signal, to_native
from offerlog_domain.wire import read_signal, signal_from_document, validate_document
from support.wire import BROWSER, ID, REQUIRED, STORED

READY = Signal(
    action_id=ID,
    state=State.ERRORED,
    media_type="webchat",
    action_map_id=ID[:-1] + "b",
    action_map_version=3,
    customer_id="Visitor é",
    customer_id_type="email",
    session_id=ID[:-1] + "c",
    error_code="00045",
    error_message="no frame",
    event_id=ID[:-1] + "d",
    occurred_at=datetime(2026, 11, 22, 10, 0, 0, 123_000, UTC),
    timeout_seconds=45,
    action_map_name="Checkout help",
)
EXPECTED = to_native(READY)


def read(**fields: Any) -> NativeSignal:
    """A signal of the required fields and these, read from text."""
    return read_signal(json.dumps(REQUIRED | fields).encode())


def test_the_browser_form() -> None:
    """As text, as decoded JSON, and as text that was written by us."""
    assert read_signal(json.dumps(BROWSER).encode()) == EXPECTED
    assert read_signal(json.dumps(BROWSER, ensure_ascii=False).encode()) == EXPECTED
    assert signal_from_document(BROWSER) == EXPECTED
    assert read_signal(READY.to_json()) == EXPECTED


@pytest.mark.parametrize("event_type", ["com.genesys.journey.WebActionEvent", "WebActionEvent"])
def test_the_stored_form(event_type: str) -> None:
    """It lacks only the time-out."""
    document = STORED | {"eventType": event_type}
    expected = structs.replace(EXPECTED, timeout_seconds=None)
    assert read_signal(json.dumps(document).encode()) == expected
    assert signal_from_document(document) == expected


def test_another_event_type_is_an_unknown_field() -> None:
    """Only the vendor's two names make the stored form."""
    for event_type in ("SomethingElse", None, 7, ["WebActionEvent"]):
        assert read(eventType=event_type, webActionEvent={}).state is State.ERRORED


def test_defaults() -> None:
    """Media type webchat, id type cookie, nothing else; null is the same as absent."""
    nulls = dict.fromkeys(BROWSER.keys() - REQUIRED.keys())
    for least in (read(), read(**nulls), signal_from_document(REQUIRED | nulls)):
        defaults = {name: getattr(least, name) for name in ("media_type", "customer_id_type")}
        assert defaults == {"media_type": "webchat", "customer_id_type": "cookie"}
        assert {least.action_map_version, least.error_code, least.error_message, least.event_id} == {None}
        assert {least.occurred_at, least.timeout_seconds, least.action_map_name} == {None}


def test_defaults_of_the_stored_form() -> None:
    """Optional parts may be absent or null, one by one and as a whole."""
    event = STORED["webActionEvent"]
    bare = {
        "eventType": "WebActionEvent",
        "session": STORED["session"],
        "customerId": "c",
        "customerIdType": None,
        "id": None,
        "webActionEvent": {
            "action": {"id": event["action"]["id"], "state": "offered", "mediaType": None},
            "actionMap": {"id": event["actionMap"]["id"]},
            "errorCode": None,
        },
    }
    least = read_signal(json.dumps(bare).encode())
    assert (least.media_type, least.customer_id_type) == ("webchat", "cookie")
    assert (least.event_id, least.occurred_at, least.error_code) == (None, None, None)


def test_ids_are_kept_in_lower_case() -> None:
    """The customer's id and its type are no UUIDs and stay as they came."""
    shouted = {name: BROWSER[name].upper() for name in ("actionId", "actionMapId", "sessionId", "eventId")}
    result = read(**shouted, customerId="ABC", customerIdType="Email")
    assert {result.action_id, result.action_map_id, result.session_id, result.event_id} == {
        UUID(text) for text in shouted.values()
    }
    assert validate_document(REQUIRED | shouted).action_id == shouted["actionId"].lower()
    assert (result.customer_id, result.customer_id_type) == ("ABC", "Email")


@pytest.mark.parametrize(
    "name", ["customerId", "errorMessage", "errorCode", "actionMapName", "customerIdType"]
)
@pytest.mark.parametrize("text", ["\0", "a\0b", " x ", "\u202e", "🛒", "e\u0301", "\n"])
def test_text_is_kept_byte_for_byte(name: str, text: str) -> None:
    """NUL, spaces, and characters beyond the first plane included; nothing is normalised."""
    signal = validate_document(REQUIRED | {name: text})
    assert isinstance(signal, Signal)
    assert json.loads(signal.to_json())[name] == text
    field = next(ours for ours, wire in WIRE_NAMES.items() if wire == name)
    assert getattr(read(**{name: text}), field) == text


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('"00045"', "00045"),
        ("45", "45"),
        ("-7", "-7"),
        ("1.50", "1.50"),
        ("0.1", "0.1"),
        ("1e5", "1e5"),
        ("1E1000000000000000000", "1E1000000000000000000"),
        ('""', ""),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1234567890.12345678901234567890", "1234567890.12345678901234567890"),
    ],
)
def test_an_error_code_is_text(written: str, kept: str) -> None:
    """A number is kept as it was written."""
    text = json.dumps(REQUIRED)[:-1] + f', "errorCode": {written}}}'
    assert read_signal(text.encode()).error_code == kept


def test_an_error_code_of_decoded_json_is_text() -> None:
    """A caller in process has numbers already."""
    assert signal_from_document(REQUIRED | {"errorCode": 45}).error_code == "45"
    assert signal_from_document(REQUIRED | {"errorCode": 1.5}).error_code == "1.5"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22t10:00:00z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22 10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00+05:45", datetime(2026, 11, 22, 4, 15, tzinfo=UTC)),
        ("2026-11-22T10:00:00-00:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T23:30:00-23:59", datetime(2026, 11, 23, 23, 29, tzinfo=UTC)),
        ("2026-11-22T10:00:00.5Z", datetime(2026, 11, 22, 10, 0, 0, 500_000, UTC)),
        ("2026-11-22T10:00:00.123456Z", datetime(2026, 11, 22, 10, 0, 0, 123_456, UTC)),
        ("2026-11-22T10:00:00.123456999Z", datetime(2026, 11, 22, 10, 0, 0, 123_456, UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_rfc_3339(text: str, instant: datetime) -> None:
    """Any offset, any number of decimals (kept to the microsecond), the leap second; kept in UTC."""
    result = read(createdDate=text)
    assert result.occurred_at == instant
    assert result.occurred_at is not None
    assert result.occurred_at.utcoffset() == instant.utcoffset()
    assert signal_from_document(REQUIRED | {"createdDate": text}) == result


@pytest.mark.parametrize("state", [*State, *UntrackedState])
def test_every_state_of_the_vendor_is_readable(state: State | UntrackedState) -> None:
    """Only those of the lifecycle have a table to be judged by."""
    result = read(actionState=state.value)
    assert result.state is state
    assert (result.lifecycle is not None) == isinstance(state, State)


@pytest.mark.parametrize(
    "media_type", ["integrationAction", "openAction", "architectFlow", "WebChat", "webchat "]
)
def test_other_media_types_are_readable_and_have_no_table(media_type: str) -> None:
    """Their names are exact."""
    assert read(actionMediaType=media_type).lifecycle is None


def test_unknown_fields_are_ignored() -> None:
    """Whatever they hold, and also where they are named like one of our own attributes."""
    for unknown in ({"x": 1}, {"x": {"actionId": 7}}, {"": None}, {"ACTIONID": 3}, {"x": "\ud800"}):
        assert read(**unknown) == read()
    ours = dict.fromkeys((field.name for field in fields(Signal)), "nonsense")
    assert read(**ours) == read()
    assert signal_from_document(REQUIRED | ours) == read()


def test_a_line_of_exactly_64_kib_is_read() -> None:
    """The limit is in bytes of the text."""
    text = json.dumps(REQUIRED).encode()
    assert read_signal(text.ljust(MAX_LINE_BYTES)) == read()
    assert MAX_LINE_BYTES == 65_536


def test_the_limits_themselves_are_valid() -> None:
    """256 characters, whatever their bytes; a time-out of a second and of a day."""
    assert read(customerId="🛒" * 256).customer_id == "🛒" * 256
    assert [read(timeoutSeconds=seconds).timeout_seconds for seconds in (1, 86400)] == [1, 86400]
    assert read(actionMapVersion=2**63 - 1).action_map_version == 2**63 - 1


def test_a_byte_order_mark_and_spaces_around_are_no_part_of_it() -> None:
    """Files from elsewhere may begin with one."""
    text = json.dumps(REQUIRED).encode()
    assert read_signal(b"\xef\xbb\xbf" + text) == read_signal(b" \t" + text + b"\r\n") == read()


def test_a_signal_is_written_without_a_warning() -> None:
    """Callers in process hand in ready signals, whose text is written for the log."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert json.loads(READY.to_json()) == BROWSER | {"createdDate": "2026-11-22T10:00:00.123000Z"}
