"""A lifecycle is a table: whatever media type it is of, everything else is read off the table."""

from typing import Any, cast

import pytest

from offerlog_domain.lifecycle import LIFECYCLES, WEBCHAT, Lifecycle, Stage, State, Transition
from support.scenario import event, given, parked, signal

STATES = (State.OFFERED, State.ACCEPTED, State.STARTED, State.REJECTED, State.ENGAGED)


@pytest.fixture
def lifecycle() -> Lifecycle:
    """Steps that web chat does not have: a short way and a long way to the same state."""
    steps = (
        Transition(None, State.OFFERED, "it begins"),
        Transition(State.STARTED, State.ENGAGED, "it ends well; the table may have any order"),
        Transition(State.OFFERED, State.STARTED, "the short way"),
        Transition(State.OFFERED, State.ACCEPTED, "the long way"),
        Transition(State.ACCEPTED, State.STARTED, "the long way goes on"),
        Transition(State.OFFERED, State.REJECTED, "it ends at once", Stage.INVITATION),
    )
    return Lifecycle("another", steps, frozenset({State.ENGAGED}))


def test_final_is_what_nothing_follows(lifecycle: Lifecycle) -> None:
    """Terminal is another thing: the table says it."""
    assert {state for state in STATES if lifecycle.is_final(state)} == {State.REJECTED, State.ENGAGED}
    assert lifecycle.terminal == {State.ENGAGED}


def test_one_step_follows_and_several_steps_reach(lifecycle: Lifecycle) -> None:
    """An action begins with what the table has without a source, and with nothing else."""
    assert [state for state in STATES if lifecycle.follows(None, state)] == [State.OFFERED]
    assert [state for state in STATES if lifecycle.follows(State.OFFERED, state)] == [
        State.ACCEPTED, State.STARTED, State.REJECTED,
    ]  # fmt: skip
    assert {state for state in STATES if lifecycle.is_reachable(State.OFFERED, state)} == {*STATES} - {
        State.OFFERED
    }
    assert {state for state in STATES if lifecycle.is_reachable(State.ACCEPTED, state)} == {
        State.STARTED, State.ENGAGED,
    }  # fmt: skip
    assert not any(lifecycle.is_reachable(State.ENGAGED, state) for state in STATES)


def test_the_longest_way_counts(lifecycle: Lifecycle) -> None:
    """For the order of states and for the most events of an action; final states share the last place."""
    ranks = [lifecycle.rank(state) for state in STATES]
    assert ranks[:3] == [0, 1, 2]
    assert ranks[3] == ranks[4] > 2
    assert lifecycle.longest == 4


def test_a_step_tells_its_stage(lifecycle: Lifecycle) -> None:
    """Or none."""
    assert lifecycle.stage(State.OFFERED, State.REJECTED) is Stage.INVITATION
    assert lifecycle.stage(State.STARTED, State.ENGAGED) is None


def test_states_stand_in_the_order_of_the_table(lifecycle: Lifecycle) -> None:
    """Each once."""
    assert lifecycle.states == (State.OFFERED, State.ENGAGED, State.STARTED, State.ACCEPTED, State.REJECTED)


@pytest.fixture
def second_table(lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch) -> str:
    """The media type of a second table beside the one of web chat."""
    monkeypatch.setitem(cast("dict[str, Lifecycle]", LIFECYCLES), lifecycle.media_type, lifecycle)
    return lifecycle.media_type


@pytest.mark.parametrize("state", STATES[1:])
def test_an_action_stays_of_the_media_type_that_it_was_offered_as(second_table: str, state: State) -> None:
    """A signal of another one is not legal for it, also where both tables have its state."""
    offered = given(event("offered"))
    offered.at(1).when(signal(state, at=1, media_type=second_table)).then("refused: not_legal")
    offered.at(1).when(signal("offered", at=1, media_type=second_table)).then("duplicate")
    over = given(event("offered"), event("errored", at=1))
    over.at(2).when(signal(state, at=2, media_type=second_table)).then("refused: action_over")


def test_each_action_follows_the_table_of_its_own_media_type(second_table: str) -> None:
    """Its map may change the media type between two actions; the newest one's table says what blocks."""
    # given a second action, of a table in which `started` follows at once and `rejected` suppresses nothing
    past = event("offered"), event("errored", at=1), event("offered", "b", 2, media_type=second_table)
    short = event("started", "b", 3, media_type=second_table)
    rejected = event("rejected", "b", 3, media_type=second_table, stage=Stage.INVITATION)
    # then
    given(*past).at(3).when(signal("started", "b", 3, media_type=second_table)).then("recorded", short)
    given(*past, rejected).at(4).when(signal("offered", "c", 4)).then("recorded", event("offered", "c", 4))
    suppressed = event("engaged", "b", 4, media_type=second_table)
    blocked = given(*past, short, suppressed).at(5).when(signal("offered", "c", 5), remember=False)
    blocked.then("refused: terminal_state")


def test_a_new_version_of_a_map_may_make_another_kind_of_offer() -> None:
    """Version 3 offered a chat, version 4 offers content: each action follows its own table to its end."""
    # given a chat whose widget failed, then content
    chat: dict[str, Any] = {"action_map_version": 3}
    content: dict[str, Any] = {"action_map_version": 4, "media_type": "contentOffer"}
    past = (
        event("offered", **chat),
        event("accepted", at=1, **chat),
        event("started", at=2, **chat),
        event("offered", "b", 60, **content),
    )
    accepted = event("accepted", "b", 61, **content)
    before = given(*past)
    # then the acceptance ends the content offer, and suppresses the map; the chat's table would go on
    before.at(61).when(signal("accepted", "b", 61, **content)).then("recorded", accepted)
    over = given(*past, accepted).at(62)
    over.when(signal("rejected", "b", 62, **content)).then("refused: action_over")
    over.when(signal("offered", "c", 62, **chat), remember=False).then("refused: terminal_state")
    # and a chat's states are not those of content, by either media type
    before.at(61).when(signal("started", "b", 61, **chat)).then("refused: not_legal")
    assert signal("started", "b", 61, **content).lifecycle is None
    # and the chat is over, as a newer action has begun
    before.at(61).when(signal("engaged", at=61, **chat)).then("refused: action_over")


def test_a_table_without_timeouts_lets_no_invitation_time_out(second_table: str) -> None:
    """Whatever its sender says: it lapses instead, and a signal of a time-out is outside of the table."""
    offered = given(event("offered", media_type=second_table, timeout_seconds=60))
    offered.at(10_000).when_time_passes().then(None)
    offered.at(45).when(signal("offered", "b", 45)).then("recorded", event("offered", "b", 45))
    assert signal("timedout", media_type=second_table).lifecycle is None


def test_a_parked_signal_of_another_media_type_is_not_released(second_table: str) -> None:
    """It waits until its time is over."""
    before = given(parked("started", media_type="webchat"), parked("accepted", media_type=second_table))
    before.at(0).when(signal("offered")).then("recorded", event("offered"))


def test_the_table_of_web_chat_is_read_the_same_way() -> None:
    """Made anew from its steps it is the same in every answer."""
    # given
    again = Lifecycle(WEBCHAT.media_type, WEBCHAT.transitions, WEBCHAT.terminal)
    # then
    assert again.longest == WEBCHAT.longest == 5
    for state in State:
        assert again.rank(state) == WEBCHAT.rank(state)
        assert again.is_final(state) == WEBCHAT.is_final(state)
        assert [again.is_reachable(state, other) for other in State] == [
            WEBCHAT.is_reachable(state, other) for other in State
        ]
