"""The service records the time-out that a widget never reported, exactly once, when it was due."""

from datetime import timedelta
from typing import Any

import pytest

from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Blocker, Reason
from support.scenario import BriefEvent, event, given, minute, refused, signal, uuid

MICROSECOND = 1 / 60_000_000
ONE_MINUTE: dict[str, Any] = {"timeout_seconds": 60}
WITHDRAWN = event("timedout", at=1)


def test_the_clock_passes_time_out_and_grace() -> None:
    """One minute after the offer, recorded sixteen minutes after it and not one microsecond before."""
    past = given(event("offered", **ONE_MINUTE))
    past.at(16 - MICROSECOND).when_time_passes().then(None)
    after = past.at(16).when_time_passes().then(None, WITHDRAWN).and_then()
    after.at(900).when_time_passes().then(None)


def test_an_offer_that_arrived_late_is_given_its_time_from_arrival() -> None:
    """The later of occurred_at and recorded_at counts; the time-out still happened when it was due."""
    past = given(event("offered", recorded=100, **ONE_MINUTE))
    past.at(116 - MICROSECOND).when_time_passes().then(None)
    past.at(116).when_time_passes().then(None, WITHDRAWN)


def test_an_offer_that_was_told_ahead_of_the_clock_is_given_its_time_from_its_own() -> None:
    """A widget's clock may run some minutes ahead."""
    past = given(event("offered", at=4, recorded=0, **ONE_MINUTE))
    past.at(20 - MICROSECOND).when_time_passes().then(None)
    past.at(20).when_time_passes().then(None, event("timedout", at=5))


@pytest.mark.parametrize(
    "past",
    [
        (event("offered"),),
        (event("offered", **ONE_MINUTE), event("accepted")),
        (event("offered", **ONE_MINUTE), event("accepted"), event("started")),
        (event("offered", **ONE_MINUTE), event("errored")),
        (event("offered", **ONE_MINUTE), event("timedout")),
        (event("offered", **ONE_MINUTE), event("rejected", stage=Stage.INVITATION)),
        (event("offered", **ONE_MINUTE), event("offered", "b", 30)),
        (event("offered"), event("accepted", **ONE_MINUTE)),
        (),
    ],
)
def test_nothing_is_invented_without_an_unanswered_newest_offer_and_its_time_out(
    past: tuple[BriefEvent, ...],
) -> None:
    """However much time passes."""
    given(*past).at(9_000).when_time_passes().then(None)


def test_the_time_out_of_a_newer_action_is_recorded() -> None:
    """Only that of the newest."""
    past = given(event("offered", **ONE_MINUTE), event("errored"), event("offered", "b", 2, **ONE_MINUTE))
    past.at(18).when_time_passes().then(None, event("timedout", "b", 3))


def test_the_time_out_tells_nothing_that_only_the_offer_told() -> None:
    """It keeps version and session; it has no report id, error or time-out."""
    of_the_map: dict[str, Any] = {"action_map_version": 3, "session_id": uuid("t")}
    of_the_offer: dict[str, Any] = {"event_id": uuid("1"), "error_code": "1", "error_message": "x"}
    past = given(event("offered", dated=False, **ONE_MINUTE, **of_the_map, **of_the_offer))
    past.at(16).when_time_passes().then(None, event("timedout", at=1, **of_the_map))


def test_the_time_out_makes_no_old_name_of_the_map_new() -> None:
    """Nobody called the map so at that time: the map may have been renamed since the offer was made."""
    past = given(event("offered", action_map_name="Help", **ONE_MINUTE))
    past.at(16).when_time_passes().then(None, WITHDRAWN)


def test_a_new_offer_finds_the_old_one_timed_out() -> None:
    """From time-out and grace on, by event time, whatever the clock says: it is recorded first."""
    past = given(event("offered", **ONE_MINUTE)).at(16)
    blocker = Blocker(Reason.TERMINAL_STATE, State.TIMEDOUT, uuid("a"), minute(1))
    refusal = refused("b", 16, "terminal_state", "a", "timedout", 1)
    past.when(signal("offered", "b", 16)).then("refused: terminal_state", WITHDRAWN, refusal).blocked_by(
        blocker
    )
    assert past.blocker(16) == blocker
    assert past.blocker(9_000) == blocker


def test_a_slow_device_clock_does_not_lose_the_chat() -> None:
    """Its invitation is 31 minutes old by its own clock and just shown by the service's."""
    past = given(event("offered", at=-31, recorded=0, **ONE_MINUTE)).at(1)
    blocker = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("a"), minute(-31))
    assert past.blocker(1) == past.blocker(16 - MICROSECOND) == blocker
    assert past.blocker(16) == Blocker(Reason.TERMINAL_STATE, State.TIMEDOUT, uuid("a"), minute(-30))
    refusal = refused("b", 1, "already_open", "a", "offered", -31, dated=False)
    after = past.when(signal("offered", "b", None)).then("refused: already_open", refusal).and_then()
    after.when(signal("accepted", at=None)).then("recorded", event("accepted", at=1, dated=False))


def test_an_offer_that_the_device_dates_finds_the_old_one_timed_out_by_the_devices_clock() -> None:
    """The time-out is recorded at the moment it was due by that clock."""
    past = given(event("offered", at=-31, recorded=0, **ONE_MINUTE)).at(1)
    refusal = refused("b", -15, "terminal_state", "a", "timedout", -30)
    past.when(signal("offered", "b", -15)).then("refused: terminal_state", event("timedout", at=-30), refusal)


def test_a_new_offer_one_microsecond_earlier_finds_the_old_one_open() -> None:
    """The grace is not over by event time, although it is by the clock."""
    just_before = 16 - MICROSECOND
    blocker = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("a"), minute(0))
    refusal = refused("b", just_before, "already_open", "a", "offered", 0)
    past = given(event("offered", **ONE_MINUTE)).at(400)
    past.when(signal("offered", "b", just_before)).then("refused: already_open", refusal).blocked_by(blocker)
    assert past.blocker(just_before) == blocker


def test_a_new_offer_times_out_the_old_one_even_if_it_has_lapsed() -> None:
    """Otherwise an import would offer where the live service suppressed."""
    past = given(event("offered", **ONE_MINUTE)).at(60)
    refusal = refused("b", 60, "terminal_state", "a", "timedout", 1)
    past.when(signal("offered", "b", 60)).then("refused: terminal_state", WITHDRAWN, refusal)


def test_a_time_out_longer_than_the_time_to_live_leaves_the_offer_to_lapse() -> None:
    """Neither timed out nor open any longer: a new action begins and the old one is never timed out."""
    past = given(event("offered", timeout_seconds=3600)).at(40)
    after = past.when(signal("offered", "b", 40)).then("recorded", event("offered", "b", 40)).and_then()
    after.at(900).when_time_passes().then(None)


def test_an_offer_that_is_not_remembered_times_out_the_old_one_as_well() -> None:
    """The decision needs the time-out as its reason."""
    past = given(event("offered", **ONE_MINUTE)).at(16)
    past.when(signal("offered", "b", 16), remember=False).then("refused: terminal_state", WITHDRAWN)


def test_only_a_new_offer_times_out_the_old_one() -> None:
    """A late answer to the invitation is recorded as long as the service has not timed it out."""
    past = given(event("offered", **ONE_MINUTE)).at(400)
    past.when(signal("accepted", at=399)).then("recorded", event("accepted", at=399))
    past.when(signal("offered", at=399)).then("duplicate")


def test_the_widgets_own_time_out_comes_too_late_as_a_duplicate() -> None:
    """Nothing is counted twice."""
    past = given(event("offered", **ONE_MINUTE), event("timedout", at=1)).at(20)
    past.when(signal("timedout", at=1.5, event_id=uuid("1"))).then("duplicate")


def test_the_grace_can_be_set() -> None:
    """No grace at all."""
    past = given(event("offered", **ONE_MINUTE)).under(deadline_grace=timedelta(0))
    past.at(1 - MICROSECOND).when_time_passes().then(None)
    past.at(1).when_time_passes().then(None, WITHDRAWN)
