"""Documents of the vendor that report no action are not tracked, or the answer says what to send instead."""

import json
from typing import Any

import pytest

from offerlog_domain.signals import MalformedSignalError, UntrackedEventError
from offerlog_domain.wire import read_signal
from support.wire import BROWSER, REQUIRED, STORED

OTHER_EVENTS = [
    "com.genesys.journey.OutcomeAchievedEvent",
    "com.genesys.journey.WebEvent",
    "WebEvent",
    "com.genesys.journey.SegmentAssignmentEvent",
]
WRAPPED: dict[str, dict[str, Any]] = {
    "eventBody": {"eventBody": {"topicName": "v2.journey.sessions.1.action.events", "eventBody": STORED}},
    "entities": {"entities": [STORED, STORED], "nextUri": "/api/v2/journey/sessions/1/events?after=x"},
}


@pytest.mark.parametrize("kind", OTHER_EVENTS)
def test_another_event_of_the_vendor_is_not_tracked(kind: str) -> None:
    """It is readable; this log has no place for it."""
    document = {
        "id": STORED["id"],
        "eventType": kind,
        "createdDate": "2026-11-22T10:00:00Z",
        "customerId": "v",
    }
    with pytest.raises(UntrackedEventError) as refused:
        read_signal(json.dumps(document).encode())
    assert refused.value.field == "eventType"
    assert "not a web action event" in refused.value.cause


@pytest.mark.parametrize("field", WRAPPED)
def test_a_wrapper_says_to_send_what_is_inside(field: str) -> None:
    """A notification of the vendor's inside of another one, or a page of its API."""
    with pytest.raises(MalformedSignalError) as refused:
        read_signal(json.dumps(WRAPPED[field]).encode())
    assert refused.value.field == field
    assert "send" in refused.value.cause
    assert field in refused.value.cause


def test_a_notification_is_the_event_inside_it() -> None:
    """In either form; a fault is that of the event, and another event is not tracked."""
    topic: dict[str, Any] = {
        "topicName": "v2.journey.sessions.1.action.events",
        "version": "2",
        "metadata": {},
    }
    for inner in (STORED, BROWSER):
        assert read_signal(json.dumps(topic | {"eventBody": inner}).encode()) == read_signal(
            json.dumps(inner).encode()
        )
    # the topic's own model has the action's id alone
    event = STORED["webActionEvent"]
    stateless = STORED | {"webActionEvent": event | {"action": {"id": event["action"]["id"]}}}
    with pytest.raises(MalformedSignalError) as refused:
        read_signal(json.dumps(topic | {"eventBody": stateless}).encode())
    assert refused.value.field == "webActionEvent.action.state"
    assert (refused.value.event_id, refused.value.customer) == (
        STORED["id"],
        ("email", STORED["customerId"]),
    )
    for other in ({"eventType": OTHER_EVENTS[2], "id": STORED["id"]}, {"eventType": "a.b"}):
        with pytest.raises(UntrackedEventError):
            read_signal(json.dumps(topic | {"eventBody": other}).encode())


@pytest.mark.parametrize("extra", [{"eventType": OTHER_EVENTS[0]}, {"eventBody": {}}, {"entities": []}])
def test_unknown_fields_of_a_signal_are_ignored_whatever_their_name(extra: dict[str, Any]) -> None:
    """What names an action is a signal."""
    assert read_signal(json.dumps(BROWSER | extra).encode()) == read_signal(json.dumps(BROWSER).encode())


@pytest.mark.parametrize("moment", [1_764_000_000, 1_764_000_000_123, 1.5])
def test_an_epoch_number_for_a_time_is_told_what_is_needed(moment: float) -> None:
    """The cause names the form and shows one."""
    with pytest.raises(MalformedSignalError) as refused:
        read_signal(json.dumps(REQUIRED | {"createdDate": moment}).encode())
    assert refused.value.field == "createdDate"
    assert "RFC 3339" in refused.value.cause
    assert "2026-11-22T10:00:00.123Z" in refused.value.cause


def test_names_and_codes_are_short_and_messages_are_cut() -> None:
    """A name of a map and an error code have at most 256 characters; a message keeps its first 4,096."""
    longest = BROWSER | {"actionMapName": "n" * 256, "errorCode": "é" * 256, "errorMessage": "ü" * 4_097}
    read = read_signal(json.dumps(longest).encode())
    assert (read.action_map_name, read.error_code) == ("n" * 256, "é" * 256)
    assert read.error_message == "ü" * 4_096
    for field in ("actionMapName", "errorCode"):
        with pytest.raises(MalformedSignalError, match="at most 256 characters") as refused:
            read_signal(json.dumps(BROWSER | {field: "x" * 257}).encode())
        assert refused.value.field == field
