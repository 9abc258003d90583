"""A lifecycle is a table: whatever media type it is of, everything else is read off the table."""

from typing import cast

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
    return Lifecycle("contentOffer", steps, frozenset({State.ENGAGED}))


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
def test_a_signal_of_another_media_type_than_its_action_is_an_error(second_table: str, state: State) -> None:
    """Also one whose state the table of its action lacks: the rules do not say what becomes of it."""
    offered = given(event("offered"))
    with pytest.raises(ValueError, match=f"a signal of {second_table} for an action of webchat"):
        offered.when(signal(state, at=1, media_type=second_table))


def test_a_parked_signal_of_another_media_type_is_not_released(second_table: str) -> None:
    """It waits until its time is over."""
    before = given(parked("started", media_type="webchat"), parked("accepted", media_type=second_table))
    before.at(0).when(signal("offered")).then("recorded", event("offered"))


def test_the_table_of_web_chat_is_read_the_same_way() -> None:
    """Made anew from its steps it is the same in every answer."""
    # given
    again = Lifecycle(WEBCHAT.media_type, WEBCHAT.transitions, WEBCHAT.terminal)
    # then
    assert again.longest == WEBCHAT.longest == 4
    for state in State:
        assert again.rank(state) == WEBCHAT.rank(state)
        assert again.is_final(state) == WEBCHAT.is_final(state)
        assert [again.is_reachable(state, other) for other in State] == [
            WEBCHAT.is_reachable(state, other) for other in State
        ]
