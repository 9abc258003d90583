"""What holds whatever comes, in whatever order, however often."""

import itertools
from dataclasses import dataclass, field
from datetime import timedelta

import hypothesis
from hypothesis import strategies as st

from offerlog_domain.context import DecisionContext, Rules
from offerlog_domain.decision import Decision, decide, expire
from offerlog_domain.events import SignalParked
from offerlog_domain.lifecycle import BEFORE_OFFER, State
from offerlog_domain.offer_rule import find_blocker
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_domain.signals import Signal, to_native
from offerlog_domain.visitor_offer import VisitorOffer, fold
from support.scenario import MAP_ID, ORGANIZATION, RAW, STREAM, minute, signal, uuid

UNHURRIED = hypothesis.settings(deadline=None)  # the machine is shared

LEGAL = {
    "offered": {"accepted", "rejected", "ignored", "errored", "timedout"},
    "accepted": {"rejected", "started"},
    "started": {"abandoned", "engaged"},
    "qualified": {"offered", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"},
}
FIRST = {"offered", "qualified", *LEGAL["qualified"]}
SHORT = Rules(
    open_action_ttl=timedelta(minutes=8),
    parking_time=timedelta(minutes=6),
    deadline_grace=timedelta(minutes=2),
)
PATIENT = Rules(
    open_action_ttl=timedelta(minutes=8), parking_time=timedelta(days=1), deadline_grace=timedelta(minutes=2)
)

signals = st.builds(
    signal,
    st.sampled_from([state.value for state in State] + ["offered", "accepted"] * 2),
    st.sampled_from("abc"),
    st.sampled_from([None, 0, 1, 2, 5, 9, 10, 20]),
    event_id=st.sampled_from([None, None, *map(uuid, "1234")]),
    timeout_seconds=st.sampled_from([None, None, 60, 3600]),
    error_code=st.sampled_from([None, None, "00045"]),
)
steps = st.lists(st.tuples(st.one_of(signals, signals, signals, st.none()), st.integers(0, 4)), max_size=25)
Steps = list[tuple[Signal | None, int]]


@dataclass
class Life:
    """A visitor-offer to which anything may happen; None among the steps only lets time pass."""

    rules: Rules
    offer: VisitorOffer = field(default_factory=lambda: VisitorOffer(STREAM))
    clock: float = 0
    decisions: list[Decision] = field(default_factory=list)

    def live(self, steps: Steps) -> "Life":
        """Take the steps, each so many minutes after the one before."""
        for one_signal, wait in steps:
            self.clock += wait
            self.hear(one_signal)
        return self

    def hear(self, one_signal: Signal | None) -> Decision:
        """Take one step now."""
        context = DecisionContext(ORGANIZATION, minute(self.clock), self.rules)
        before = self.offer
        if one_signal is None:
            decision = expire(before, context)
        else:
            decision = decide(before, to_native(one_signal), lambda: RAW, context)
        assert decision.offer == fold(decision.events, before)
        self.decisions.append(decision)
        self.offer = decision.offer
        return decision


@UNHURRIED
@hypothesis.given(steps)
def test_the_facts_of_a_decision_lead_to_its_visitor_offer(steps: Steps) -> None:
    """One version after the other without a gap, and folding the whole stream gives the same."""
    life = Life(SHORT).live(steps)
    events = [event for decision in life.decisions for event in decision.events]
    assert [event.originator_version for event in events] == list(range(1, len(events) + 1))
    assert {event.event.action_map_id for event in events} <= {MAP_ID}
    assert fold(events, VisitorOffer(STREAM)) == life.offer


@UNHURRIED
@hypothesis.given(steps)
def test_a_signal_heard_twice_at_once_changes_nothing(steps: Steps) -> None:
    """Whatever became of it the first time."""
    life = Life(SHORT)
    for one_signal, wait in steps:
        life.live([(one_signal, wait)])
        again = life.hear(one_signal)
        assert not again.events
        assert not again.ended_parkings
        assert again.outcome not in {OutcomeKind.RECORDED, OutcomeKind.PARKED}


@UNHURRIED
@hypothesis.given(steps)
def test_any_signal_heard_again_at_any_later_time_changes_nothing(steps: Steps) -> None:
    """As long as no parking ends: a signal given up is forgotten and judged anew.

    Nor does it hold for a signal that contradicted one that waited: when the offer of the latter is refused,
    its event id is none of those that the rule calls known, and the contradiction has gone with it.
    """
    life = Life(PATIENT).live(steps)
    end = life.offer
    for (one_signal, _), first in zip(steps, tuple(life.decisions), strict=True):
        if one_signal is not None and first.reason is not Reason.CONFLICTING_DUPLICATE:
            again = life.hear(one_signal)
            assert not again.events
            assert again.offer == end
            assert again.outcome not in {OutcomeKind.RECORDED, OutcomeKind.PARKED}


@UNHURRIED
@hypothesis.given(steps)
def test_actions_are_legal_and_follow_one_another_only_where_they_may(steps: Steps) -> None:
    """Every step is in the table, every report id is there once, and a terminal action is the last."""
    offer = Life(SHORT).live(steps).offer
    for action in offer.actions:
        states = [one.event.state.value for one in action.events]
        assert states[0] in FIRST
        for before, after in itertools.pairwise(states):
            assert after in LEGAL[before]
        offered = [one.event for one in action.events if one.event.state not in BEFORE_OFFER]
        assert {one.offered_at for one in offered} <= {action.offered.occurred_at}
        assert bool(offered) == action.is_offered
    offered_actions = sorted(
        (one for one in offer.actions if one.is_offered), key=lambda one: one.offer.originator_version
    )
    assert [one.offered.action_number for one in offered_actions] == [*range(1, len(offered_actions) + 1)]
    assert all(action.state.value in {"errored", *LEGAL} for action in offered_actions[:-1])
    reports = [event for action in offer.actions for event in action.events]
    known = [
        r.private.event_id
        for r in (*reports, *offer.parked_signals, *offer.refused_offers)
        if r.private.event_id is not None
    ]
    assert len(known) == len(set(known))


@UNHURRIED
@hypothesis.given(steps)
def test_no_parked_signal_is_lost(steps: Steps) -> None:
    """It waits still, or was recorded as it was told, or has ended with a reason."""
    life = Life(SHORT).live(steps)
    events = [event for decision in life.decisions for event in decision.events]
    over = [waiting for decision in life.decisions for waiting, _ in decision.ended_parkings]
    recorded = [event for action in life.offer.actions for event in action.events]
    for parked in events:
        if isinstance(event := parked.event, SignalParked):
            released = [
                reached
                for reached in recorded
                if reached.private.action_id == parked.private.action_id
                and reached.event.state is event.parked_state
                and reached.event.occurred_at == event.occurred_at
                and reached.private.event_id == parked.private.event_id
                and reached.event.parked_version == parked.originator_version
            ]
            assert (parked in life.offer.parked_signals) + (parked in over) + bool(released) >= 1
            assert not (parked in life.offer.parked_signals and parked in over)


@UNHURRIED
@hypothesis.given(steps, st.integers(0, 60), st.booleans())
def test_whoever_asks_is_told_what_the_offer_would_meet(
    steps: Steps,
    at: int,
    dated: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """`blocker` explains as the offer itself does."""
    life = Life(SHORT).live(steps)
    moment = minute(at if dated else life.clock)
    expected = find_blocker(life.offer, moment, SHORT, dated=dated)
    met = life.hear(signal("offered", "h", at if dated else None))
    assert met.blocker == expected
    assert (met.outcome is OutcomeKind.RECORDED) == (expected is None)


PATHS = [
    ["offered", "accepted", "started", "engaged"],
    ["offered", "accepted", "started", "abandoned"],
    ["offered", "accepted", "rejected"],
    ["offered", "timedout"],
]


@UNHURRIED
@hypothesis.given(st.sampled_from(PATHS), st.data())
def test_an_action_comes_to_the_same_in_any_order(path: list[str], data: st.DataObject) -> None:
    """Shuffled and repeated within the parking time, each at its own time."""
    ordered = [signal(state, at=at) for at, state in enumerate(path)]
    expected = Life(PATIENT).live([(one_signal, 1) for one_signal in ordered]).offer.actions[0]
    shuffled = data.draw(st.permutations(ordered + ordered[1:]))
    offer = Life(PATIENT).live([(one_signal, 1) for one_signal in shuffled]).offer
    states_told = [
        (one.event.state, one.event.stage, one.event.occurred_at) for one in offer.actions[0].events
    ]
    if "rejected" not in path:
        assert states_told == [
            (one.event.state, one.event.stage, one.event.occurred_at) for one in expected.events
        ]
    assert states_told[0] == (State.OFFERED, None, minute(0))
    assert not offer.refused_offers
