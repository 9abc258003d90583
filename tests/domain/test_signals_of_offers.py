"""The signal that an offer asked for in process stands for: checked like one that comes as JSON."""

from typing import Any
from uuid import UUID

import pytest

from offerlog_domain import offer_signals
from offerlog_domain.identity import OrganizationKey, VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.offer_signals import build_offer_signal
from offerlog_domain.signals import MalformedSignalError, Signal, to_native

ACTION, MAP, SESSION = (f"00000000-0000-4000-8000-00000000000{letter}" for letter in "abc")
ASKED: dict[str, Any] = {
    "action_id": ACTION,
    "action_map_id": MAP,
    "action_map_version": 3,
    "customer_id": "visitor-1",
    "customer_id_type": "email",
    "session_id": SESSION,
    "timeout_seconds": 45,
}


def test_every_argument_is_in_the_signal_and_nothing_else() -> None:
    """An offer that states no time; ids in lower case."""
    # when
    signal = build_offer_signal(**ASKED | {"action_map_id": MAP.upper()})
    # then
    assert signal == to_native(Signal(**ASKED, state=State.OFFERED))
    assert (signal.occurred_at, signal.event_id, signal.media_type) == (None, None, "webchat")


def test_what_is_optional_may_be_left_out() -> None:
    """The version of the map and the time-out."""
    signal = build_offer_signal(**ASKED | {"action_map_version": None, "timeout_seconds": None})
    assert (signal.action_map_version, signal.timeout_seconds) == (None, None)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"action_id": "7"}, "actionId: a hyphenated UUID is needed"),
        ({"action_map_id": None}, "actionMapId: is required"),
        ({"action_map_version": "3"}, "actionMapVersion: a whole number is needed"),
        ({"customer_id": ""}, "customerId: must not be empty"),
        ({"customer_id_type": "x" * 257}, "customerIdType: at most 256 characters"),
        ({"session_id": None}, "sessionId: is required"),
        ({"timeout_seconds": 3.5}, "timeoutSeconds: a whole number is needed"),
    ],
)
def test_an_argument_at_fault_is_named_as_on_the_wire(change: dict[str, Any], cause: str) -> None:
    """With the cause that the sender of a signal would read."""
    with pytest.raises(MalformedSignalError) as caught:
        build_offer_signal(**ASKED | change)
    assert str(caught.value) == cause


def test_a_signal_belongs_to_the_offer_of_its_visitor_and_map() -> None:
    """Named by the signal or by its parts."""
    key = OrganizationKey("acme", b"1" * 32)
    found = key.offer_of(build_offer_signal(**ASKED))
    assert found == key.offer(VisitorKey("email", "visitor-1"), UUID(MAP))


@pytest.mark.parametrize("change", [{}, {"action_map_id": MAP.upper()}, {"timeout_seconds": None}])
def test_a_usual_request_needs_no_validation_by_pydantic(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes several times as long, and every page view asks."""
    monkeypatch.setattr(offer_signals, "Signal", None)
    assert build_offer_signal(**ASKED | change).action_map_id == UUID(MAP)


def test_what_the_fast_reading_declines_may_be_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pydantic's signal is the same."""
    usual = build_offer_signal(**ASKED)
    monkeypatch.setattr(offer_signals, "convert_fast", lambda _: None)
    assert build_offer_signal(**ASKED) == usual
