"""The offer rule: what stands against a new offer. The limits of one visitor-offer."""

from datetime import UTC, datetime, timedelta
from typing import Final

from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy
from offerlog_domain.context import DecisionContext, Rules
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.lifecycle import BEFORE_OFFER, State
from offerlog_domain.outcomes import Blocker, Reason
from offerlog_domain.uuids import format_uuid
from offerlog_domain.visitor_offer import Action, VisitorOffer

MAX_REFUSED_OFFERS: Final = 64
"""Refused offers that one visitor-offer remembers (domain rule "Crowded")."""

MAX_PARKED_SIGNALS: Final = 64
"""Parked signals that one visitor-offer holds (domain rule "Crowded")."""

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A signal from before this moment is refused as too old, whoever sends it."""


def find_timing_fault(occurred_at: datetime | None, context: DecisionContext) -> Reason | None:
    """Return the reason to refuse a signal for its time alone (check 3); None where its time is fine."""
    if occurred_at is None:
        return None
    age = context.now - occurred_at
    if -age > context.rules.future_tolerance:
        return Reason.FROM_THE_FUTURE
    if occurred_at < EARLIEST or (context.from_widget and age > context.rules.widget_max_age):
        return Reason.TOO_OLD
    return None


def find_blocker(
    offer: VisitorOffer, at: datetime, rules: Rules, *, dated: bool, policy: ActionMapPolicy = NO_POLICY
) -> Blocker | None:
    """Return what stands against a new offer; None where it may be made (the offer rule).

    Args:
        offer: The visitor-offer.
        at: The time of the new offer.
        rules: The periods that an operator may set.
        dated: True if the sender gave `at`; False if it is the time of the service's clock. The events of
            the open action are compared by the same clock (domain rule "Lapse").
        policy: The policy of the action map that is in force.
    """
    newest = offer.newest
    if newest is None:
        return None
    if is_timed_out(newest, at, rules, dated=dated) and newest.timeout_due_at is not None:
        return _find_suppression(newest, State.TIMEDOUT, newest.timeout_due_at, at, policy)
    if newest.state in newest.lifecycle.terminal:
        return _find_suppression(newest, newest.state, newest.since, at, policy)
    if newest.lifecycle.is_final(newest.state) or _has_lapsed(newest, at, rules, dated=dated):
        return None
    return Blocker(Reason.ALREADY_OPEN, newest.state, format_uuid(newest.id), newest.since)


def _find_suppression(
    action: Action, state: State, since: datetime, at: datetime, policy: ActionMapPolicy
) -> Blocker | None:
    """Return the terminal state as a blocker; None if its cool-down is over (domain rule "Cool-down")."""
    until = policy.suppressed_until(state, since)
    if until is not None and at >= until:
        return None
    return Blocker(Reason.TERMINAL_STATE, state, format_uuid(action.id), since)


def is_timed_out(action: Action, at: datetime, rules: Rules, *, dated: bool) -> bool:
    """Return True if a new offer at `at` finds this invitation timed out (domain rule "Deadline", case b)."""
    seconds = action.offered.timeout_seconds
    if seconds is None or action.state is not State.OFFERED or not action.lifecycle.has_timeout:
        return False
    return at - _time_of(action.offered, dated=dated) >= timedelta(seconds=seconds) + rules.deadline_grace


def _has_lapsed(action: Action, at: datetime, rules: Rules, *, dated: bool) -> bool:
    """Return True if an open action has been silent, from its offer on, for `open_action_ttl` ("Lapse")."""
    newest = max(
        _time_of(recorded.event, dated=dated)
        for recorded in action.events
        if recorded.event.state not in BEFORE_OFFER
    )
    return at - newest >= rules.open_action_ttl


def _time_of(event: LifecycleEvent, *, dated: bool) -> datetime:
    """Return the time of an event by the clock that gave the time of the new offer."""
    return event.occurred_at if dated else max(event.occurred_at, event.recorded_at)
