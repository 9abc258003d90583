"""Every pair of states: what becomes of each signal in each state that an action can be in."""

from dataclasses import replace
from typing import Any

import pytest

from offerlog_domain.events import EVENTS
from offerlog_domain.lifecycle import CONTENT_OFFER, WEB_MESSAGING_OFFER, WEBCHAT, Stage, State
from support.scenario import BriefEvent, event, given, parked, refused, signal, uuid

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
    "qualified",
    "qualifiedOutsideSchedule",
    "offeredOutsideSchedule",
    "frequencyCapReached",
)
WITHHELD = STATES[10:]

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
    "qualified": ("qualified",),
    "qualified, then offered": ("qualified", "offered"),
    "outside schedule": ("qualifiedOutsideSchedule",),
    "outside schedule, later": ("qualified", "offeredOutsideSchedule"),
    "frequency cap": ("frequencyCapReached",),
}

# R recorded, D duplicate, P parked, O refused: action_over, N refused: not_legal; columns as in STATES
TABLE = """
-                           R P P P P P P P P R R R R
offered                     D R P R R R R P P N N N N
accepted                    D D R R N N N P P N N N N
started                     D D D N N N N R R N N N N
rejected at the invitation  D O O D O O O O O O O O O
rejected at the form        D D O D O O O O O O O O O
ignored                     D O O O D O O O O O O O O
errored                     D O O O O D O O O O O O O
timedout                    D O O O O O D O O O O O O
abandoned                   D D D O O O O D O O O O O
engaged                     D D D O O O O O D O O O O
qualified                   R P P P P P P P P D R R R
qualified, then offered     D R P R R R R P P D N N N
outside schedule            O O O O O O O O O O D O O
outside schedule, later     O O O O O O O O O D O D O
frequency cap               O O O O O O O O O O O O D
"""

# the same for a content offer, in the states of its table
CONTENT_STATES = ("offered", "accepted", "rejected", "ignored", "errored")
CONTENT_TABLE = """
-         R P P P P
offered   D R R R R
accepted  D D O O O
rejected  D O D O O
ignored   D O O D O
errored   D O O O D
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


CONTENT_PAIRS = [
    (line[:10].strip(), state, OUTCOMES[letter])
    for line in CONTENT_TABLE.strip().splitlines()
    for state, letter in zip(CONTENT_STATES, line[10:].split(), strict=True)
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


def test_what_becomes_of_each_signal_of_a_content_offer() -> None:
    """Nothing follows its acceptance, which suppresses the offer; an error does not."""
    content: dict[str, Any] = {"media_type": "contentOffer"}
    for reached, state, outcome in CONTENT_PAIRS:
        path = () if reached == "-" else ("offered",) if reached == "offered" else ("offered", reached)
        past = [
            replace(brief(step, at, path[:at]), fields=content | brief(step, at, path).fields)
            for at, step in enumerate(path)
        ]
        coming = brief(state, 5, path)
        recorded = replace(coming, fields=content | coming.fields)
        events = {"recorded": (recorded,), "parked": (parked(state, at=5, **content),)}.get(outcome, ())
        given(*past).at(5).when(signal(state, at=5, **content)).then(outcome, *events)
    suppressed = {state for state in CONTENT_STATES if State(state) in CONTENT_OFFER.terminal}
    assert suppressed == {"accepted", "rejected", "ignored"}
    assert {state for state in State if signal(state, **content).lifecycle is None} == {*STATES[:9]} - {
        *CONTENT_STATES
    }


def test_a_web_messaging_offer_lives_as_a_web_chat_offer_does() -> None:
    """The same steps, and the same terminal states."""
    assert WEB_MESSAGING_OFFER.transitions == WEBCHAT.transitions
    assert WEB_MESSAGING_OFFER.terminal == WEBCHAT.terminal


def test_the_table_above_names_every_state_and_every_way_to_reach_one() -> None:
    """Nothing is left out of the table of pairs."""
    assert set(STATES) == {state.value for state in State}
    assert {path[-1] for path in PATHS.values() if path} == set(STATES)
    assert len(PAIRS) == len(PATHS) * len(STATES)


@pytest.mark.parametrize("state", State)
def test_which_states_are_final_and_which_suppress(state: State) -> None:
    """Errored ends its action without suppressing the offer; open states do neither."""
    final = {"engaged", "rejected", "timedout", "ignored", "abandoned", "errored"}
    assert WEBCHAT.is_final(state) == (state.value in final | {*WITHHELD})
    assert (state in WEBCHAT.terminal) == (state.value in final - {"errored"})


def test_final_states_share_the_last_place_in_lifecycle_order() -> None:
    """Qualified, offered, accepted, started, then the final states."""
    assert [WEBCHAT.rank(State(state)) for state in ("qualified", *STATES[:3])] == [0, 1, 2, 3]
    last = {WEBCHAT.rank(State(state)) for state in (*STATES[3:9], *WITHHELD)}
    assert len(last) == 1
    assert last.pop() > 3


def test_stored_names_of_facts_never_change() -> None:
    """What is in the log must be found again by any later version."""
    assert {(event.stored_name, event.stored_version) for event in EVENTS} == {
        *((name, 3) for name in STATES),
        *((name, 2) for name in ("offer-refused", "signal-parked", "parking-ended")),
    }


@pytest.mark.parametrize("state", ["qualified", *WITHHELD])
def test_what_is_not_offered_blocks_nothing_and_suppresses_nothing(state: str) -> None:
    """An `offered` of another action may come meanwhile, and its action goes on."""
    # given
    qualified = given(event(state))
    other = event("offered", "b", 1)
    # then
    assert qualified.blocker(1) is None
    qualified.at(1).when(signal("offered", "b", 1)).then("recorded", other)
    open_offer = given(other, event(state, "a", 2))
    open_offer.at(3).when(signal("accepted", "b", 3)).then("recorded", event("accepted", "b", 3))


def test_the_offer_of_an_action_that_has_qualified_meets_the_offer_rule() -> None:
    """It is refused while another one is open, and made once nothing blocks; it counts from its offer."""
    # given
    past = event("offered", "b"), event("qualified", "a", 1, event_id=uuid("q"))
    blocked = given(*past).at(2).when(signal("offered", "a", 2))
    blocked.then("refused: already_open", refused("a", 2, "already_open", "b", "offered", 0))
    given(*past, event("errored", "b", 3)).at(40).when(signal("offered", "a", 40, timeout_seconds=60)).then(
        "recorded", event("offered", "a", 40, timeout_seconds=60)
    )
    # when it is offered, and was qualified
    made = given(*past, event("errored", "b", 3), event("offered", "a", 40, timeout_seconds=60))
    # then its report is known, and its time-out counts from the offer
    made.at(41).when(signal("qualified", "a", 1, event_id=uuid("q"))).then("duplicate")
    made.at(41).when(signal("qualified", "a", 5, event_id=uuid("q"))).then("refused: conflicting_duplicate")
    made.at(60).when_time_passes().then(None, event("timedout", "a", 41, recorded=60))


def test_what_comes_before_its_offer_waits_also_for_an_action_that_has_qualified() -> None:
    """And is released by the offer."""
    before = given(event("qualified"), parked("accepted", at=2))
    released = event("accepted", at=2, recorded=3)
    before.at(3).when(signal("offered", at=1)).then("recorded", event("offered", at=1, recorded=3), released)
