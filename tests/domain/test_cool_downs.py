"""The cool-down: a policy gives a terminal state a time after which it no longer suppresses the offer."""

from datetime import timedelta

import pytest

from offerlog_domain.action_map_policies import (
    NO_POLICY,
    SUPPRESSING_STATES,
    ActionMapPolicy,
    check_policy,
)
from offerlog_domain.context import DecisionContext, Rules
from offerlog_domain.decision import decide
from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.offer_rule import find_blocker
from offerlog_domain.outcomes import OutcomeKind, Reason
from support.scenario import MAP_ID, ORGANIZATION, RAW, event, given, minute, native_signal

HOUR = check_policy({"ignored": timedelta(hours=1)})


def test_a_terminal_state_suppresses_until_its_time_is_over() -> None:
    """At the very instant of the end it no longer does. Other states do so for ever."""
    # given
    ignored = given(event("offered"), event("ignored", at=10)).offer
    rejected = given(event("offered"), event("rejected", at=10, rejected_stage=Stage.INVITATION)).offer
    # when
    last, end = minute(70) - timedelta(microseconds=1), minute(70)
    # then
    assert find_blocker(ignored, last, Rules(), dated=True, policy=HOUR) is not None
    for dated in (True, False):
        assert find_blocker(ignored, end, Rules(), dated=dated, policy=HOUR) is None
        assert find_blocker(ignored, end, Rules(), dated=dated) is not None
        assert find_blocker(rejected, minute(10**6), Rules(), dated=dated, policy=HOUR) is not None


def test_it_is_counted_from_the_time_of_the_state_also_where_the_state_came_late() -> None:
    """So the list can say until when, and an import suppresses no longer than the live service did."""
    late = given(event("offered"), event("ignored", at=10, recorded=500)).offer
    assert find_blocker(late, minute(70), Rules(), dated=False, policy=HOUR) is None


def test_a_new_offer_after_the_cool_down_is_a_new_action_of_the_same_visitor_offer() -> None:
    """The first action is over; the stream holds both, and folds without any policy."""
    # given
    before = given(event("offered"), event("ignored", at=10))
    context = DecisionContext(ORGANIZATION, minute(70), policies={MAP_ID: HOUR})
    # when
    early = decide(before.offer, native_signal("offered", "b", 69), lambda: RAW, context)
    made = decide(before.offer, native_signal("offered", "b", 70), lambda: RAW, context)
    # then
    assert (early.outcome, early.reason) == (OutcomeKind.REFUSED, Reason.TERMINAL_STATE)
    assert made.outcome is OutcomeKind.RECORDED
    assert made.offer.newest is not None
    assert made.offer.newest.offered.action_number == made.offer.action_count == 2
    late = decide(made.offer, native_signal("rejected", "a", 71), lambda: RAW, context)
    assert late.reason is Reason.ACTION_OVER


def test_a_time_out_that_nobody_reported_cools_down_as_well() -> None:
    """From the moment at which it was due."""
    # given
    open_offer = given(event("offered", timeout_seconds=60)).offer
    policy = check_policy({"timedout": timedelta(hours=1)})
    # then
    assert find_blocker(open_offer, minute(60), Rules(), dated=True, policy=policy) is not None
    assert find_blocker(open_offer, minute(61), Rules(), dated=True, policy=policy) is None


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("errored", timedelta(days=1)),
        ("Ignored", timedelta(days=1)),
        ("ignored", timedelta(days=-1)),
        ("ignored", timedelta(seconds=1, microseconds=1)),
        ("ignored", timedelta(days=3650, seconds=1)),
    ],
)
def test_a_policy_that_cannot_be_is_refused(name: str, period: timedelta) -> None:
    """A state that suppresses nothing, or a time out of bounds."""
    with pytest.raises(ArgumentError) as raised:
        check_policy({name: period})
    assert raised.value.argument == "suppress_for"
    assert name in str(raised.value)


def test_a_policy_comes_back_from_its_seconds() -> None:
    """In the order of the states, whatever the order in which it was set."""
    # given
    bounds = {"timedout": timedelta(0), "engaged": timedelta(days=3650)}
    policy = check_policy(bounds)
    # then
    assert ActionMapPolicy.from_seconds(policy.to_seconds()) == policy
    assert list(policy.to_seconds()) == [state for state in State if state in policy.suppress_for]
    assert check_policy({}) == NO_POLICY
    assert State.ERRORED not in SUPPRESSING_STATES
