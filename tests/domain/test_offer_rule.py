"""Whether an offer may be made: terminal states, open actions, lapse, and remembered refusals."""

from datetime import timedelta

import pytest

from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Blocker, Reason
from support.scenario import BriefEvent, event, given, minute, native, parked, refused, signal, uuid

INVITATION, FORM = Stage.INVITATION, Stage.FORM
MICROSECOND = 1 / 60_000_000

TERMINAL = {
    "engaged": (event("offered"), event("accepted"), event("started"), event("engaged", at=1)),
    "rejected": (event("offered"), event("rejected", at=1, stage=INVITATION)),
    "rejected ": (event("offered"), event("accepted"), event("rejected", at=1, stage=FORM)),
    "timedout": (event("offered"), event("timedout", at=1)),
    "ignored": (event("offered"), event("ignored", at=1)),
    "abandoned": (event("offered"), event("accepted"), event("started"), event("abandoned", at=1)),
}
OPEN = {
    "offered": (event("offered", at=1),),
    "accepted": (event("offered"), event("accepted", at=1)),
    "started": (event("offered"), event("accepted"), event("started", at=1)),
}


@pytest.mark.parametrize(("state", "past"), TERMINAL.items(), ids=TERMINAL)
def test_a_terminal_state_suppresses_the_offer_for_good(state: str, past: tuple[BriefEvent, ...]) -> None:
    """However much later, and whatever the version of the map."""
    year = 525_600
    coming = signal("offered", "b", year, action_map_version=99)
    refusal = refused("b", year, "terminal_state", "a", state.strip(), 1, action_map_version=99)
    blocker = Blocker(Reason.TERMINAL_STATE, State(state.strip()), uuid("a"), minute(1))
    given(*past).at(year).when(coming).then("refused: terminal_state", refusal).blocked_by(blocker)
    assert given(*past).blocker(year) == blocker


@pytest.mark.parametrize(("state", "past"), OPEN.items(), ids=OPEN)
def test_an_open_action_blocks_another_until_it_lapses(state: str, past: tuple[BriefEvent, ...]) -> None:
    """It is silent since its last event; at exactly the time to live it blocks no longer."""
    blocker = Blocker(Reason.ALREADY_OPEN, State(state), uuid("a"), minute(1))
    just_before = 31 - MICROSECOND
    refusal = refused("b", just_before, "already_open", "a", state, 1)
    coming = signal("offered", "b", just_before)
    given(*past).at(40).when(coming).then("refused: already_open", refusal).blocked_by(blocker)
    assert given(*past).blocker(just_before) == blocker
    given(*past).at(40).when(signal("offered", "b", 31)).then("recorded", event("offered", "b", 31))
    assert given(*past).blocker(31) is None


@pytest.mark.parametrize("long_ago", [0, -1, -60, -525_600])
def test_an_offer_from_before_the_open_action_never_finds_it_lapsed(long_ago: float) -> None:
    """A negative difference is no silence."""
    refusal = refused("b", long_ago, "already_open", "a", "offered", 0)
    given(event("offered")).at(1).when(signal("offered", "b", long_ago)).then(
        "refused: already_open", refusal
    )


def test_lapse_goes_by_the_latest_event_by_time_not_by_version() -> None:
    """Accepted was recorded last although it happened first."""
    past = given(event("offered", at=20), event("accepted", at=0)).at(60)
    refusal = refused("b", 49, "already_open", "a", "accepted", 0)
    past.when(signal("offered", "b", 49)).then("refused: already_open", refusal)
    past.when(signal("offered", "b", 50)).then("recorded", event("offered", "b", 50))


SLOW = {"a device 16 minutes slow": 16, "a device 31 minutes slow": 31}


@pytest.mark.parametrize("behind", SLOW.values(), ids=SLOW)
def test_a_slow_device_clock_makes_no_second_offer(behind: int) -> None:
    """The service's own clock asks, so the arrival of what the device dated too early counts."""
    past = given(event("offered", at=-behind, recorded=0)).at(1)
    blocker = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("a"), minute(-behind))
    assert past.blocker(1) == past.blocker(30 - MICROSECOND) == blocker
    refusal = refused("b", 1, "already_open", "a", "offered", -behind, dated=False)
    past.when(signal("offered", "b", None)).then("refused: already_open", refusal)
    assert past.blocker(30) is None


def test_a_slow_device_is_judged_by_its_own_clock_where_it_gives_the_time() -> None:
    """Both times are the device's: twenty minutes are twenty minutes."""
    past = given(event("offered", at=-31, recorded=0)).at(20)
    refusal = refused("b", -11, "already_open", "a", "offered", -31)
    past.when(signal("offered", "b", -11)).then("refused: already_open", refusal)
    past.when(signal("offered", "b", -1)).then("recorded", event("offered", "b", -1))


def test_lapse_goes_by_event_time_not_by_the_clock() -> None:
    """An import judges as the live service did."""
    past = given(event("offered", at=0, recorded=1_000)).at(1_000)
    past.when(signal("offered", "b", 30)).then("recorded", event("offered", "b", 30))
    past.at(5_000).when(signal("offered", "b", 29)).then(
        "refused: already_open", refused("b", 29, "already_open", "a", "offered", 0)
    )


def test_an_undated_offer_happens_when_it_arrives() -> None:
    """Its time of arrival decides whether the open action has lapsed."""
    past = given(event("offered"))
    past.at(30).when(signal("offered", "b", None)).then("recorded", event("offered", "b", 30, dated=False))
    past.at(29).when(signal("offered", "b", None)).then(
        "refused: already_open", refused("b", 29, "already_open", "a", "offered", 0, dated=False)
    )


def test_the_time_to_live_can_be_set() -> None:
    """One minute instead of thirty."""
    past = given(event("offered")).under(open_action_ttl=timedelta(minutes=1)).at(1)
    past.when(signal("offered", "b", 1)).then("recorded", event("offered", "b", 1))
    assert past.blocker(1) is None
    assert past.blocker(1 - MICROSECOND) is not None


def test_an_errored_action_gives_way_to_a_new_one_at_once() -> None:
    """In the same visitor-offer; the new action has the next number."""
    errored = given(event("offered"), event("errored", at=1, error_code="00045", error_message="no frame"))
    assert errored.blocker(1) is None
    again = (
        errored.at(1).when(signal("offered", "b", 1)).then("recorded", event("offered", "b", 1)).and_then()
    )
    again.when(signal("accepted", "b", 1)).then("recorded", event("accepted", "b", 1))
    assert [action.offered.action_number for action in again.offer.actions] == [1, 2]
    again.when(signal("accepted", "a", 1)).then("refused: action_over")


def test_only_the_newest_action_blocks() -> None:
    """The lapsed one was rejected by nobody; the newest is errored."""
    past = given(event("offered"), event("offered", "b", 30), event("errored", "b", 31))
    past.when(signal("offered", "c", 31)).then("recorded", event("offered", "c", 31))


def test_nothing_stands_against_the_first_offer() -> None:
    """A visitor-offer without any action, even with signals waiting."""
    given().when(signal("offered")).then("recorded", event("offered"))
    assert given().blocker(0) is None
    assert given(parked("accepted", "b")).blocker(0) is None


def test_an_error_is_kept_as_it_was_told() -> None:
    """The code is text and keeps its zeros."""
    coming = signal("errored", at=1, error_code="00045", error_message="no frame")
    given(event("offered")).at(1).when(coming).then(
        "recorded", event("errored", at=1, error_code="00045", error_message="no frame")
    )


def test_a_refused_offer_is_remembered_with_what_stood_against_it() -> None:
    """The same offer later gets the same answer, although nothing would stand against it then."""
    past = given(event("offered"))
    after = past.at(1).when(signal("offered", "b", 1)).and_then().at(90)
    blocker = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("a"), minute(0))
    after.when(signal("offered", "b", 90)).then("duplicate").blocked_by(blocker)
    after.when(signal("started", "b", 90)).then("refused: offer_refused")
    after.when(signal("offered", "c", 90)).then("recorded", event("offered", "c", 90))


def test_a_refusal_that_nobody_can_name_again_is_not_remembered() -> None:
    """An offer asked for without an action id of one's own leaves nothing behind."""
    past = given(event("offered")).at(1)
    blocker = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("a"), minute(0))
    past.when(signal("offered", "b", 1), remember=False).then("refused: already_open").blocked_by(blocker)


def test_what_waits_for_a_refused_offer_ends_with_it() -> None:
    """In order of arrival; what waits for other actions goes on waiting."""
    past = given(
        event("offered"), parked("started", "b", 1), parked("accepted", "c", 1), parked("accepted", "b", 2)
    )
    after = (
        past.when(signal("offered", "b", 3))
        .then("refused: already_open", refused("b", 3, "already_open", "a", "offered", 0))
        .ending("b started: offer_refused", "b accepted: offer_refused")
        .and_then()
    )
    assert [waiting.private.action_id for waiting in after.offer.parked_signals] == [native("c")]
    after.when(signal("started", "b", 1)).then("refused: offer_refused")


@pytest.mark.parametrize(("dated", "reason"), [(True, "terminal_state"), (False, "already_open")])
def test_an_offer_asked_for_is_dated_by_the_clock_of_the_one_that_asks(dated: bool, reason: str) -> None:  # noqa: FBT001 - pytest's way
    """By the device's own clock the invitation has timed out; by the service's it came only just now."""
    past = given(event("offered", at=-20, recorded=0, timeout_seconds=60))
    found = past.blocker(1, dated=dated)
    assert found is not None
    assert found.reason == reason
