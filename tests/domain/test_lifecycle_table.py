"""Every pair of states: what becomes of each signal in each state that an action can be in."""

import pytest

from offerlog_domain.events import EVENTS
from offerlog_domain.lifecycle import WEBCHAT, Stage, State
from support.scenario import BriefEvent, event, given, parked, signal

STATES = (
    "offered",
    "accepted",
    "started",
    "rejected",
    "ignored",
    "errored",
    "timedout",
    "abandoned",
    "engaged",
)

PATHS = {
    "-": (),
    "offered": ("offered",),
    "accepted": ("offered", "accepted"),
    "started": ("offered", "accepted", "started"),
    "rejected at the invitation": ("offered", "rejected"),
    "rejected at the form": ("offered", "accepted", "rejected"),
    "ignored": ("offered", "ignored"),
    "errored": ("offered", "errored"),
    "timedout": ("offered", "timedout"),
    "abandoned": ("offered", "accepted", "started", "abandoned"),
    "engaged": ("offered", "accepted", "started", "engaged"),
}

# R recorded, D duplicate, P parked, O refused: action_over, N refused: not_legal; columns as in STATES
TABLE = """
-                           R P P P P P P P P
offered                     D R P R R R R P P
accepted                    D D R R N N N P P
started                     D D D N N N N R R
rejected at the invitation  D O O D O O O O O
rejected at the form        D D O D O O O O O
ignored                     D O O O D O O O O
errored                     D O O O O D O O O
timedout                    D O O O O O D O O
abandoned                   D D D O O O O D O
engaged                     D D D O O O O O D
"""

OUTCOMES = {
    "R": "recorded",
    "D": "duplicate",
    "P": "parked",
    "O": "refused: action_over",
    "N": "refused: not_legal",
}

PAIRS = [
    (line[:28].strip(), state, OUTCOMES[letter])
    for line in TABLE.strip().splitlines()
    for state, letter in zip(STATES, line[28:].split(), strict=True)
]


def brief(state: str, at: float, path: tuple[str, ...]) -> BriefEvent:
    """The lifecycle event of that state behind that path."""
    if state == "rejected":
        return event(state, at=at, stage=Stage.FORM if "accepted" in path else Stage.INVITATION)
    return event(state, at=at)


@pytest.mark.parametrize(("reached", "state", "outcome"), PAIRS)
def test_what_becomes_of_each_signal_in_each_state(reached: str, state: str, outcome: str) -> None:
    """A legal step is recorded, a known one is a duplicate, an early one waits, all else is refused."""
    path = PATHS[reached]
    past = [brief(step, at, path[:at]) for at, step in enumerate(path)]
    events = {"recorded": (brief(state, 5, path),), "parked": (parked(state, at=5),)}.get(outcome, ())
    given(*past).at(5).when(signal(state, at=5)).then(outcome, *events)


def test_the_table_above_names_every_state_and_every_way_to_reach_one() -> None:
    """Nothing is left out of the table of pairs."""
    assert set(STATES) == {state.value for state in State}
    assert {path[-1] for path in PATHS.values() if path} == set(STATES)
    assert len(PAIRS) == len(PATHS) * len(STATES)


@pytest.mark.parametrize("state", State)
def test_which_states_are_final_and_which_suppress(state: State) -> None:
    """Errored ends its action without suppressing the offer; open states do neither."""
    final = {"engaged", "rejected", "timedout", "ignored", "abandoned", "errored"}
    assert WEBCHAT.is_final(state) == (state.value in final)
    assert (state in WEBCHAT.terminal) == (state.value in final - {"errored"})


def test_final_states_share_the_last_place_in_lifecycle_order() -> None:
    """Offered, accepted, started, then the final states."""
    assert [WEBCHAT.rank(State(state)) for state in STATES[:3]] == [0, 1, 2]
    last = {WEBCHAT.rank(State(state)) for state in STATES[3:]}
    assert len(last) == 1
    assert last.pop() > 2


def test_stored_names_of_facts_never_change() -> None:
    """What is in the log must be found again by any later version."""
    assert {(event.stored_name, event.stored_version) for event in EVENTS} == {
        (name, 2) for name in (*STATES, "offer-refused", "signal-parked", "parking-ended")
    }
