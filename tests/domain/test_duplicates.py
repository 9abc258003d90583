"""What is a repeat, and what contradicts what was said before."""

from dataclasses import replace
from typing import Any

import pytest

from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Blocker, Reason
from support.scenario import BriefEvent, event, given, minute, parked, refused, signal, uuid

FULL: dict[str, Any] = {
    "event_id": uuid("1"),
    "action_map_version": 3,
    "error_code": "00045",
    "error_message": "no frame",
    "timeout_seconds": 45,
}

OTHER: dict[str, dict[str, Any]] = {
    "action": {"action_id": uuid("b")},
    "state": {"state": State.ACCEPTED},
    "action map version": {"action_map_version": 4},
    "absent action map version": {"action_map_version": None},
    "session": {"session_id": uuid("t")},
    "error code": {"error_code": "45"},
    "absent error code": {"error_code": None},
    "error message": {"error_message": "no frames"},
    "absent error message": {"error_message": None},
    "time-out": {"timeout_seconds": 46},
    "absent time-out": {"timeout_seconds": None},
    "action map": {"action_map_id": uuid("m")},
    "media type": {"media_type": "contentOffer"},
}

Past = tuple[str, tuple[BriefEvent, ...]]

PASTS: dict[str, Past] = {
    "recorded": ("offered", (event("offered", **FULL),)),
    "parked": ("started", (parked("started", **FULL),)),
    "refused": (
        "offered",
        (event("offered", "c"), refused("a", 0, "already_open", "c", "offered", 0, **FULL)),
    ),
}


def test_a_repeated_refused_offer_is_told_what_stood_against_it() -> None:
    """By its event id as by its action id."""
    blocker = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("c"), minute(0))
    given(*PASTS["refused"][1]).when(signal("offered", **FULL)).then("duplicate").blocked_by(blocker)


@pytest.mark.parametrize("past", PASTS.values(), ids=PASTS)
def test_the_same_content_under_a_known_event_id_is_a_duplicate(past: Past) -> None:
    """Whether that report was recorded, waits, or was a refused offer."""
    given(*past[1]).when(signal(past[0], **FULL)).then("duplicate")


@pytest.mark.parametrize("past", PASTS.values(), ids=PASTS)
@pytest.mark.parametrize("difference", OTHER.values(), ids=OTHER)
def test_each_field_of_the_content_makes_a_contradiction(past: Past, difference: dict[str, Any]) -> None:
    """The content is action, state, media type, map, version, session, error, message and time-out."""
    repeat = replace(signal(past[0], **FULL), **difference)
    given(*past[1]).when(repeat).then("refused: conflicting_duplicate")


@pytest.mark.parametrize("past", PASTS.values(), ids=PASTS)
def test_another_instant_is_a_contradiction(past: Past) -> None:
    """One microsecond is another instant."""
    microsecond = 1 / 60_000_000
    given(*past[1]).when(signal(past[0], at=microsecond, **FULL)).then("refused: conflicting_duplicate")


@pytest.mark.parametrize("past", PASTS.values(), ids=PASTS)
def test_a_repeat_without_a_time_is_a_duplicate(past: Past) -> None:
    """The time is ignored when the repeat does not say it."""
    given(*past[1]).when(signal(past[0], at=None, **FULL)).then("duplicate")


def test_a_repeat_of_an_undated_report_is_a_duplicate_whatever_its_time() -> None:
    """The time is ignored when the first report did not say it."""
    undated = event("offered", at=0, dated=False, **FULL)
    given(undated).when(signal("offered", at=7, **FULL)).then("duplicate")


def test_a_display_name_is_no_content() -> None:
    """The map may be renamed between two reports of the same event."""
    past = given(event("offered", action_map_name="Help", **FULL))
    past.when(signal("offered", action_map_name="Help!", **FULL)).then("duplicate")


@pytest.mark.parametrize("event_id", [None, uuid("2")])
def test_a_state_reached_before_is_a_duplicate_under_any_other_event_id(event_id: str | None) -> None:
    """Nor do other words about it matter."""
    repeat = signal("offered", at=4, event_id=event_id, session_id=uuid("t"), error_code="9")
    given(event("offered", **FULL)).when(repeat).then("duplicate")


def test_a_parked_state_is_a_duplicate_under_any_other_event_id() -> None:
    """It waits once."""
    past = given(parked("started", **FULL))
    past.when(signal("started", at=4)).then("duplicate")
    past.when(signal("started", at=4, event_id=uuid("2"))).then("duplicate")


def test_the_same_error_code_as_text_only() -> None:
    """00045 is not 45: the code is text."""
    past = given(event("offered"), event("errored", at=1, event_id=uuid("1"), error_code="00045"))
    again = signal("errored", at=1, event_id=uuid("1"), error_code="00045")
    past.when(again).then("duplicate")
    past.when(replace(again, error_code="45")).then("refused: conflicting_duplicate")


def test_an_event_id_whose_signal_was_not_kept_is_not_known() -> None:
    """A refusal other than of an offer leaves nothing behind: the id may come again with other words."""
    past = given(event("offered"), event("rejected", at=1, stage=Stage.INVITATION))
    after = past.when(signal("engaged", at=2, event_id=uuid("1"))).then("refused: action_over").and_then()
    after.when(signal("started", at=3, event_id=uuid("1"))).then("refused: action_over")


def test_a_released_report_keeps_its_event_id() -> None:
    """What was parked and then recorded is still known under its id."""
    past = given(parked("accepted", at=1, event_id=uuid("1"))).at(2)
    after = past.when(signal("offered")).and_then()
    after.when(signal("accepted", at=1, event_id=uuid("1"))).then("duplicate")
    after.when(signal("accepted", at=2, event_id=uuid("1"))).then("refused: conflicting_duplicate")
