"""Signals that come before their action is far enough: kept, released in order, or given up."""

from datetime import timedelta
from typing import Any

import pytest

from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import decide
from offerlog_domain.events import SignalParked
from offerlog_domain.lifecycle import Stage
from offerlog_domain.visitor_offer import VisitorOffer
from support.scenario import (
    ORGANIZATION,
    STREAM,
    ended,
    event,
    given,
    minute,
    native,
    native_signal,
    parked,
    refused,
    signal,
    uuid,
)

MICROSECOND = 1 / 60_000_000


def test_a_parked_signal_keeps_the_text_that_came() -> None:
    """The event holds everything that was told, and the raw text."""
    fields: dict[str, Any] = {
        "event_id": uuid("1"),
        "error_code": "7",
        "session_id": uuid("t"),
        "action_map_version": 2,
    }
    given().at(3).when(signal("engaged", at=2, **fields)).then("parked", parked("engaged", at=2, **fields))


def test_a_whole_action_in_reverse_is_released_as_if_it_had_come_in_order() -> None:
    """Each keeps its own time; all are recorded now; what is released has no text, and nothing waits."""
    past = given(
        parked("engaged", at=3, event_id=uuid("1")), parked("started", at=2), parked("accepted", at=1)
    )
    after = (
        past.at(5)
        .when(signal("offered", at=0))
        .then(
            "recorded",
            event("offered", at=0),
            event("accepted", at=1),
            event("started", at=2),
            event("engaged", at=3, event_id=uuid("1")),
        )
    )
    assert after.and_then().offer.earliest_parked_at is None


def test_release_stops_at_a_gap() -> None:
    """What lies behind the gap goes on waiting."""
    past = given(parked("engaged", at=3), parked("accepted", at=1)).at(5)
    after = (
        past.when(signal("offered"))
        .then("recorded", event("offered"), event("accepted", at=1))
        .ending()
        .and_then()
    )
    after.when(signal("started", at=2)).then("recorded", event("started", at=2), event("engaged", at=3))


def test_lifecycle_order_goes_before_order_of_arrival() -> None:
    """Rejected came before accepted, yet it is the form that was turned down."""
    past = given(parked("rejected", at=2), parked("accepted", at=1)).at(5)
    past.when(signal("offered")).then(
        "recorded", event("offered"), event("accepted", at=1), event("rejected", at=2, stage=Stage.FORM)
    )


@pytest.mark.parametrize(("first", "second"), [("ignored", "timedout"), ("timedout", "ignored")])
def test_final_states_are_released_in_order_of_arrival(first: str, second: str) -> None:
    """The first ends the action; the second cannot follow any more and goes on waiting."""
    past = given(parked(first, at=2), parked(second, at=1)).at(5)
    after = past.when(signal("offered")).then("recorded", event("offered"), event(first, at=2)).ending()
    assert [waiting.event.parked_state for waiting in after.and_then().offer.parked_signals] == [second]


def test_a_parked_rejection_that_follows_the_offer_directly_is_of_the_invitation() -> None:
    """The stage is derived from the state before."""
    past = given(parked("rejected", at=1)).at(2)
    past.when(signal("offered")).then(
        "recorded", event("offered"), event("rejected", at=1, stage=Stage.INVITATION)
    )


def test_only_the_action_that_moved_releases() -> None:
    """What waits for another action stays."""
    past = given(parked("accepted", "b", 1), parked("accepted", "a", 2)).at(5)
    after = past.when(signal("offered")).then("recorded", event("offered"), event("accepted", at=2))
    assert [waiting.private.action_id for waiting in after.and_then().offer.parked_signals] == [native("b")]


def test_every_step_releases_not_only_the_offer() -> None:
    """Started waits while the action is offered."""
    past = given(event("offered"), parked("started", at=2)).at(5)
    past.when(signal("accepted", at=1)).then("recorded", event("accepted", at=1), event("started", at=2))


def test_what_waits_for_an_older_action_ends_unrecorded() -> None:
    """A newer action has begun: the older one cannot move any more."""
    past = given(event("offered"), parked("started", at=25), event("offered", "b", 30)).at(31)
    after = past.when(signal("accepted", at=31)).then("refused: action_over").and_then()
    after.at(40).when_time_passes().then(None, ended("started")).ending("a started: never_reachable")


def test_the_wait_is_over_after_the_parking_time() -> None:
    """By the service's clock since it came, not by what it tells; not one microsecond earlier."""
    past = given(parked("accepted", at=-500, recorded=0))
    past.at(15 - MICROSECOND).when_time_passes().then(None).ending()
    after = (
        past.at(15)
        .when_time_passes()
        .then(None, ended("accepted"))
        .ending("a accepted: never_reachable")
        .and_then()
    )
    after.at(900).when_time_passes().then(None).ending()


def test_the_wait_ends_first_thing_when_anything_is_judged() -> None:
    """An offer that comes too late releases nothing."""
    past = given(parked("accepted", at=1), parked("started", at=10)).at(16)
    past.when(signal("offered")).then("recorded", ended("accepted"), event("offered")).ending(
        "a accepted: never_reachable"
    )
    past.when(signal("engaged", "b", 16)).then("parked", ended("accepted"), parked("engaged", "b", 16))


def test_a_refused_offer_ends_the_waits_of_its_action_beside_those_that_are_over() -> None:
    """Each with its own reason."""
    past = given(event("offered"), parked("accepted", "b", 1), parked("accepted", "c", 10)).at(16)
    past.when(signal("offered", "c", 16)).then(
        "refused: already_open",
        ended("accepted", "b"),
        refused("c", 16, "already_open", "a", "offered", 0),
    ).ending("b accepted: never_reachable", "c accepted: offer_refused")


def test_what_goes_on_waiting_beside_a_released_signal_ends_in_its_time() -> None:
    """The release of one does not prolong the wait of the other."""
    past = given(parked("accepted", "a", 1), parked("accepted", "b", 2)).at(3)
    after = past.when(signal("offered")).then("recorded", event("offered"), event("accepted", at=1))
    after.and_then().at(17).when_time_passes().then(None, ended("accepted", "b")).ending(
        "b accepted: never_reachable"
    )


def test_several_waits_end_in_order_of_arrival() -> None:
    """Of all actions of the visitor-offer."""
    past = given(parked("started", "b"), parked("accepted", "a")).at(15)
    past.when_time_passes().then(None, ended("started", "b"), ended("accepted", "a")).ending(
        "b started: never_reachable", "a accepted: never_reachable"
    )


def test_a_signal_whose_wait_was_over_is_judged_anew() -> None:
    """Never reachable is not remembered, neither its state nor its event id."""
    past = given(parked("accepted", at=1, event_id=uuid("1")), ended("accepted")).at(20)
    again = signal("accepted", at=2, event_id=uuid("1"))
    past.when(again).then("parked", parked("accepted", at=2, event_id=uuid("1")))
    given(parked("accepted", at=1, event_id=uuid("1")), ended("accepted"), event("offered")).when(again).then(
        "recorded", event("accepted", at=2, event_id=uuid("1"))
    )


def test_a_repeat_of_a_signal_whose_wait_is_over_waits_anew() -> None:
    """It ends the wait itself, then starts another one."""
    past = given(parked("accepted", at=1)).at(16)
    past.when(signal("accepted", at=1)).then("parked", ended("accepted"), parked("accepted", at=1)).ending(
        "a accepted: never_reachable"
    )


def test_time_brings_about_both_at_once() -> None:
    """Overdue parking ends, then the time-out that is due is recorded."""
    past = given(event("offered", timeout_seconds=60), parked("engaged", at=1))
    past.at(16).when_time_passes().then(None, ended("engaged"), event("timedout", at=1)).ending(
        "a engaged: never_reachable"
    )


def test_the_parking_time_can_be_set() -> None:
    """One minute instead of fifteen."""
    past = given(parked("accepted")).under(parking_time=timedelta(minutes=1))
    past.at(1 - MICROSECOND).when_time_passes().then(None)
    past.at(1).when_time_passes().then(None, ended("accepted"))


@pytest.mark.parametrize(("length", "kept", "full_length"), [(4_096, 4_096, None), (4_097, 4_096, 4_097)])
def test_a_long_text_is_kept_in_part_and_its_length_is_told(
    length: int, kept: int, full_length: int | None
) -> None:
    """One of just 4 KiB is kept whole."""
    # given
    context = DecisionContext(ORGANIZATION, minute(1))
    # when
    decision = decide(VisitorOffer(STREAM), native_signal("engaged"), lambda: b"x" * length, context)
    # then
    (waits,) = decision.events
    assert isinstance(waits.event, SignalParked)
    assert (len(waits.private.raw or b""), waits.event.raw_length) == (kept, full_length)
