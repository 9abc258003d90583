"""A signal as it was given: its text is made late, and is what would have been made at once."""

import json
from typing import Any

import pytest

from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.outcomes import OutcomeKind
from offerlog_domain.signals import MalformedSignalError, to_native
from support.memory_log import MemoryLog
from support.scenario import START, signal
from support.writing import held

STORED_FORM: dict[str, Any] = {
    "eventType": "WebActionEvent",
    "id": "not a uuid",
    "webActionEvent": {"action": {"state": "rejected"}},
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"x": "\U0001f600" * 60_000},
        {"x": {"y": [1, {"z": None}]}},
        {"x": 2**70, "y": 1.5, "z": True},
        {"x": START},
        {"x": "\ud800"},
        STORED_FORM,
    ],
)
def test_the_text_of_a_decoded_signal_is_its_json_as_it_came(
    desk: Any, writer: GroupCommitWriter, log: MemoryLog, more: dict[str, Any]
) -> None:
    """Refused or parked, and whatever the caller does with the object afterwards."""
    # given
    document = json.loads(signal("accepted").to_json()) | json.loads(json.dumps(more, default=str))
    if "x" in more:
        document["x"] = more["x"]
    text = json.dumps(document, default=str).encode()
    held(writer, log)
    # when
    future = desk.service.submit([document], "acme")
    document["actionId"] = "changed"
    document.get("webActionEvent", {}).clear()
    log.open.set()
    # then
    assert future.result(10).outcomes[0].kind in {OutcomeKind.PARKED, OutcomeKind.REFUSED}
    kept = [one.private.raw for one in desk.stream()] or [one.raw for one in log.refused]
    assert kept == [text[:4_096]]


def test_a_signal_that_is_ready_is_written_when_its_text_is_asked_for() -> None:
    """The same each time."""
    ready = signal("accepted", error_message="é" * 100)
    text = SignalText(ready)
    assert text.read() == to_native(ready)
    assert text.to_bytes() == text.to_bytes() == ready.to_json()


@pytest.mark.parametrize("given", [{1: "x", "y": START}, {"x": "e" * 500}, {"a": {"b": {"c": {}}}}])
def test_the_size_of_a_text_is_about_its_length(given: dict[Any, Any]) -> None:
    """Exact where the text is made; before that, its characters."""
    text = SignalText(given)
    size = text.size
    assert 0.3 * len(text.to_bytes()) <= size <= 2 * len(text.to_bytes())


def test_an_object_that_holds_itself_is_malformed() -> None:
    """No text can be made of it."""
    circle: dict[str, Any] = {"actionId": "x"}
    circle["circle"] = circle
    with pytest.raises(MalformedSignalError, match="no JSON object"):
        SignalText(circle)


@pytest.mark.parametrize("given", [[1], 5, None, 3.5, ("a",), object(), [{"actionId": "x"}]])
def test_what_is_not_a_signal_at_all_is_malformed_and_keeps_a_text(given: Any) -> None:
    """A caller in Python may give anything; the other signals of the batch must not pay for it."""
    text = SignalText(given)
    with pytest.raises(MalformedSignalError):
        text.read()
    assert text.to_bytes()


def test_bytes_of_any_kind_are_read() -> None:
    """As a socket or a file gives them."""
    written = signal("accepted").to_json()
    assert (
        SignalText(bytearray(written)).read()
        == SignalText(memoryview(written)).read()
        == SignalText(written).read()
    )
