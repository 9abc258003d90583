"""Where two checks both apply, the first in the order of the rule answers."""

from typing import Any

import pytest

from offerlog_domain.lifecycle import Stage
from offerlog_domain.signals import Signal
from support.scenario import Given, event, given, parked, refused, signal, uuid

E1: dict[str, Any] = {"event_id": uuid("1")}
REJECTED = (event("offered"), event("rejected", at=1, stage=Stage.INVITATION))
REFUSED_B = refused("b", 2, "terminal_state", "a", "rejected", 1)
LAPSED = (event("offered"), event("offered", "b", at=30))

CASES = {
    "4 before 5: a refused offer's event id says something else": (
        given(*REJECTED, refused("b", 2, "terminal_state", "a", "rejected", 1, **E1)),
        signal("accepted", "b", 2, **E1),
        "refused: conflicting_duplicate",
    ),
    "4 before 5: the refused offer itself, word for word": (
        given(*REJECTED, refused("b", 2, "terminal_state", "a", "rejected", 1, **E1)),
        signal("offered", "b", 2, **E1),
        "duplicate",
    ),
    "4 before 6: a state reached before, under its event id, at another time": (
        given(event("offered", **E1)),
        signal("offered", at=1, **E1),
        "refused: conflicting_duplicate",
    ),
    "4 before 7: a new action under a known event id": (
        given(event("offered", **E1), event("errored", at=1)),
        signal("offered", "b", 2, **E1),
        "refused: conflicting_duplicate",
    ),
    "4 before 8: a repeat of what a final action reached": (
        given(event("offered"), event("accepted", **E1), event("rejected", at=1, stage=Stage.FORM)),
        signal("accepted", **E1),
        "duplicate",
    ),
    "4 before 8: another state of a final action under a known event id": (
        given(event("offered", **E1), event("ignored", at=1)),
        signal("engaged", **E1),
        "refused: conflicting_duplicate",
    ),
    "4 before 9: a legal step under a known event id": (
        given(event("offered", **E1)),
        signal("accepted", **E1),
        "refused: conflicting_duplicate",
    ),
    "4 before 10: an early step under a known event id": (
        given(event("offered", **E1)),
        signal("engaged", **E1),
        "refused: conflicting_duplicate",
    ),
    "4 before 11: an illegal step under a known event id": (
        given(event("offered"), event("accepted", **E1)),
        signal("ignored", **E1),
        "refused: conflicting_duplicate",
    ),
    "5 before 7: an offer refused before that could be made now": (
        given(event("offered"), refused("b", 2, "already_open", "a", "offered", 0)),
        signal("offered", "b", 60),
        "duplicate",
    ),
    "5 before 10: a state of an action whose offer was refused": (
        given(*REJECTED, REFUSED_B),
        signal("accepted", "b", 2),
        "refused: offer_refused",
    ),
    "6 before 7: the offer of the open action again": (
        given(event("offered")),
        signal("offered"),
        "duplicate",
    ),
    "6 before 8: a state that a final action reached": (
        given(*REJECTED),
        signal("rejected", at=9),
        "duplicate",
    ),
    "6 before 8: a state that an older action reached": (
        given(*LAPSED),
        signal("offered", at=9),
        "duplicate",
    ),
    "6 before 9: a parked state of an action that is far enough": (
        given(event("offered"), parked("started"), event("accepted")),
        signal("started", at=9),
        "duplicate",
    ),
    "6 before 10: a state that waits already": (
        given(parked("accepted", at=9)),
        signal("accepted", at=9),
        "duplicate",
    ),
    "6 before 11: a state behind the action": (
        given(event("offered"), event("accepted"), event("started")),
        signal("accepted", at=9),
        "duplicate",
    ),
    "8 before 9: a legal step of an older action": (
        given(*LAPSED),
        signal("accepted", at=31),
        "refused: action_over",
    ),
    "8 before 10: an early step of an older action": (
        given(*LAPSED),
        signal("engaged", at=31),
        "refused: action_over",
    ),
    "8 before 11: an illegal step of a final action": (
        given(event("offered"), event("accepted"), event("rejected", stage=Stage.FORM)),
        signal("ignored"),
        "refused: action_over",
    ),
    "8 before 11: an illegal step of an older action": (
        given(event("offered"), event("accepted"), event("offered", "b", at=30)),
        signal("timedout", at=31),
        "refused: action_over",
    ),
}


@pytest.mark.parametrize(("past", "coming", "outcome"), CASES.values(), ids=CASES)
def test_the_first_check_that_applies_answers(past: Given, coming: Signal, outcome: str) -> None:
    """None of these appends anything."""
    past.when(coming).then(outcome)


def test_a_state_that_follows_directly_is_recorded_although_it_could_also_come_later() -> None:
    """9 before 10: rejected follows offered directly and also behind accepted."""
    given(event("offered")).at(1).when(signal("rejected", at=1)).then(
        "recorded", event("rejected", at=1, stage=Stage.INVITATION)
    )


@pytest.mark.parametrize("state", ["accepted", "started", "rejected", "engaged"])
def test_an_unknown_action_waits_whatever_its_visitor_offer_came_to(state: str) -> None:
    """10: only its own offer can tell whether the action exists, so the terminal state does not answer."""
    given(*REJECTED).when(signal(state, "b", 1)).then("parked", parked(state, "b", 1))
