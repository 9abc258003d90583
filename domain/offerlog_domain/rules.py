"""What an operator may set, and the offer rule: what stands against a new offer."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Blocker, Reason
from offerlog_domain.visitor_offer import Action, VisitorOffer


@dataclass(frozen=True, slots=True)
class Rules:
    """The periods that an operator may set.

    Attributes:
        open_action_ttl: How long a silent open action blocks another one, by event time.
        parking_time: How long a parked signal waits, by the service's clock.
        deadline_grace: How long after a time-out the service itself records it.
        future_tolerance: How far ahead of the service's clock a signal may be.
    """

    open_action_ttl: timedelta = timedelta(minutes=30)
    parking_time: timedelta = timedelta(minutes=15)
    deadline_grace: timedelta = timedelta(minutes=15)
    future_tolerance: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Under which a decision is made: whose, when by the service's clock (UTC), by which rules."""

    organization: str
    now: datetime
    rules: Rules = field(default_factory=Rules)


def blocker(offer: VisitorOffer, at: datetime, rules: Rules) -> Blocker | None:
    """What stands against a new offer that occurs at `at`; None where it may be made (the offer rule)."""
    newest = offer.newest
    if newest is None:
        return None
    if overdue(newest, at, rules) and newest.withdrawn_at is not None:
        return Blocker(Reason.TERMINAL_STATE, State.TIMEDOUT, newest.id, newest.withdrawn_at)
    if newest.state in newest.lifecycle.terminal:
        return Blocker(Reason.TERMINAL_STATE, newest.state, newest.id, newest.since)
    if newest.lifecycle.final(newest.state) or at - newest.since >= rules.open_action_ttl:
        return None
    return Blocker(Reason.ALREADY_OPEN, newest.state, newest.id, newest.since)


def overdue(action: Action, at: datetime, rules: Rules) -> bool:
    """Whether an offer at `at` finds this invitation timed out (domain rule "Deadline", case b)."""
    return action.withdrawn_at is not None and at >= action.withdrawn_at + rules.deadline_grace
