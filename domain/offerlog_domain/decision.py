"""What happens to a signal, and what the passing of time brings about: pure decisions over a visitor-offer.

`decide` gives every tracked signal exactly one outcome, by the order of checks that the docs state
("What happens to a signal"); time comes in with `DecisionContext`. What it decides are events to append;
`expire` does the same for what only the passing of time brings about.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from offerlog_domain.context import DecisionContext
from offerlog_domain.event_fields import SIGNAL_EVENT_FIELDS, Event, EventVisitor, SignalEvent
from offerlog_domain.events import (
    LIFECYCLE_EVENTS,
    OfferRefused,
    ParkingEnded,
    Rejected,
    SignalParked,
    TimedOut,
)
from offerlog_domain.lifecycle import Lifecycle, State
from offerlog_domain.offer_rule import MAX_PARKED_SIGNALS, MAX_REFUSED_OFFERS, blocker, overdue
from offerlog_domain.outcomes import Blocker, OutcomeKind, Reason, cut_text
from offerlog_domain.signals import Signal
from offerlog_domain.visitor_offer import Action, VisitorOffer, evolve


class Decision(NamedTuple):
    """A decision: the outcome and what must be stored for it, all or nothing.

    Attributes:
        offer: The visitor-offer once the events are in.
        outcome: What became of the signal; None where none came (`expire`).
        reason: Why, for a refused one.
        blocker: What stands against an offer that was refused or is refused again.
        events: To append, in order.
        ended: Parked signals that end here without being recorded, each with the reason.
    """

    offer: VisitorOffer
    outcome: OutcomeKind | None = None
    reason: Reason | None = None
    blocker: Blocker | None = None
    events: tuple[Event, ...] = ()
    ended: tuple[tuple[SignalParked, Reason], ...] = ()


def decide(
    offer: VisitorOffer, signal: Signal, raw: bytes, context: DecisionContext, *, remember: bool = True
) -> Decision:
    """Decide what becomes of one tracked signal.

    Args:
        offer: The visitor-offer as it stands.
        signal: The report; its `lifecycle` is not None.
        raw: The text as it came, kept if the signal is parked.
        context: Whose, when, by which rules.
        remember: Whether a refused `offered` is remembered for its action id; False only where
            nobody can ever name that id again. A crowded visitor-offer remembers no more of them.
    """
    case = _Case(offer, context)
    case.end_overdue_parking()
    return case.decide(signal, raw, remember=remember)


def expire(offer: VisitorOffer, context: DecisionContext) -> Decision:
    """Record what the passing of time alone brings about: a due time-out, overdue parking.

    A time-out is due when the clock has passed both the invitation's `occurred_at` and its
    `recorded_at` by time-out and grace (domain rule "Deadline", case a).
    """
    case = _Case(offer, context)
    case.end_overdue_parking()
    newest = offer.newest
    if newest is not None and newest.withdrawn_at is not None:
        late_arrival = max(newest.events[0].recorded_at - newest.since, timedelta())
        if context.now >= newest.withdrawn_at + late_arrival + context.rules.deadline_grace:
            case.withdraw(newest)
    return case.decision(None)


class _Case:
    """One decision in the making: the events so far and the visitor-offer as they leave it."""

    __slots__ = ("context", "ended", "events", "offer")

    def __init__(self, offer: VisitorOffer, context: DecisionContext) -> None:
        self.offer = offer
        self.context = context
        self.events: list[Event] = []
        self.ended: list[tuple[SignalParked, Reason]] = []

    def decision(
        self, outcome: OutcomeKind | None, reason: Reason | None = None, blocked_by: Blocker | None = None
    ) -> Decision:
        return Decision(self.offer, outcome, reason, blocked_by, tuple(self.events), tuple(self.ended))

    def refused(self, reason: Reason) -> Decision:
        return self.decision(OutcomeKind.REFUSED, reason)

    def duplicate(self, of: OfferRefused | None = None) -> Decision:
        return self.decision(OutcomeKind.DUPLICATE, None, None if of is None else _remembered(of))

    def decide(self, signal: Signal, raw: bytes, *, remember: bool) -> Decision:
        """The checks in their order; the first that answers wins."""
        return self.known(signal) or self.moved(signal, raw, remember=remember)

    def known(self, signal: Signal) -> Decision | None:
        """Checks 4 to 6: whether it was heard before; None where it was not."""
        if signal.event_id is not None and (report := self.offer.report(signal.event_id)) is not None:
            if not report.same_content(signal):
                return self.refused(Reason.CONFLICTING_DUPLICATE)
            return self.duplicate(report if isinstance(report, OfferRefused) else None)
        if (refused := self.offer.refused_offer(signal.action_id)) is not None:
            if signal.state is State.OFFERED:
                return self.duplicate(refused)
            return self.refused(Reason.OFFER_REFUSED)
        return self.duplicate() if self.offer.has(signal.action_id, signal.state) else None

    def moved(self, signal: Signal, raw: bytes, *, remember: bool) -> Decision:
        """Checks 7 to 11: whether its action can take it."""
        lifecycle, state = signal.lifecycle, signal.state
        if lifecycle is None or not isinstance(state, State):
            raise ValueError("only tracked signals are judged")
        action = self.offer.action(signal.action_id)
        if action is None:
            begins = lifecycle.follows(None, state)
            return self.offer_anew(signal, lifecycle, remember=remember) if begins else self.park(signal, raw)
        if lifecycle.final(action.state) or action is not self.offer.newest:
            return self.refused(Reason.ACTION_OVER)
        if lifecycle.follows(action.state, state):
            self.record(action, state, lifecycle, self.told_by(signal))
            return self.decision(OutcomeKind.RECORDED)
        if lifecycle.reachable(action.state, state):
            return self.park(signal, raw)
        return self.refused(Reason.NOT_LEGAL)

    def offer_anew(self, signal: Signal, lifecycle: Lifecycle, *, remember: bool) -> Decision:
        """A new action: the offer rule."""
        at, dated = signal.occurred_at or self.context.now, signal.occurred_at is not None
        newest = self.offer.newest
        if newest is not None and overdue(newest, at, self.context.rules, dated=dated):
            self.withdraw(newest)
        blocked_by = blocker(self.offer, at, self.context.rules, dated=dated)
        if blocked_by is None:
            self.record(None, State.OFFERED, lifecycle, self.told_by(signal))
            return self.decision(OutcomeKind.RECORDED)
        if remember and len(self.offer.refused) < MAX_REFUSED_OFFERS:
            waiting = self.offer.parked_of(signal.action_id)
            self.append(
                OfferRefused.of(
                    self.told_by(signal)
                    | {
                        "reason": blocked_by.reason,
                        "blocking_action_id": blocked_by.action_id,
                        "blocking_state": blocked_by.state,
                        "blocking_since": blocked_by.since,
                    }
                )
            )
            self.ended += [(parked, Reason.OFFER_REFUSED) for parked in waiting]
        return self.decision(OutcomeKind.REFUSED, blocked_by.reason, blocked_by)

    def park(self, signal: Signal, raw: bytes) -> Decision:
        """Keep a signal and its text until its action is far enough; where too many wait, refuse it."""
        if len(self.offer.waiting) >= MAX_PARKED_SIGNALS:
            return self.refused(Reason.CROWDED)
        told = self.told_by(signal)
        kept, length = cut_text(raw)
        told["visitor"] = told["visitor"].keeping(kept)
        self.append(SignalParked.of(told | {"parked_state": signal.state, "raw_length": length}))
        return self.decision(OutcomeKind.PARKED)

    def record(self, action: Action | None, state: State, lifecycle: Lifecycle, told: dict[str, Any]) -> None:
        """Append the lifecycle event, then release what was parked for its action."""
        before = None if action is None else action.state
        if action is None:
            told["action_number"] = self.offer.begun + 1
            told["offered_at"] = told["occurred_at"]
        else:
            told["action_number"] = action.events[0].action_number
            told["offered_at"] = action.events[0].offered_at
        event = LIFECYCLE_EVENTS[state]
        if event is Rejected:
            told["rejected_stage"] = lifecycle.stage(before, state)
        self.append(event.of(told))
        if self.offer.waiting:
            self.release(told["action_id"], lifecycle)

    def release(self, action_id: str, lifecycle: Lifecycle) -> None:
        """In lifecycle order, then in order of arrival; what still cannot follow goes on waiting."""
        waiting = self.offer.parked_of(action_id)
        for parked in sorted(waiting, key=lambda p: lifecycle.rank(p.parked_state)):
            action = self.offer.action(action_id)
            if action is None or self.offer.waiting.get((action_id, parked.parked_state)) is None:
                continue
            if action is self.offer.newest and lifecycle.follows(action.state, parked.parked_state):
                self.record(action, parked.parked_state, lifecycle, self.told_again(parked))

    def withdraw(self, action: Action) -> None:
        """Record the time-out that the widget never reported, at the moment it was due."""
        told = self.told_again(action.events[0])
        told |= {"event_id": None, "occurred_at": action.withdrawn_at, "timeout_seconds": None, "dated": True}
        told |= {"error_code": None, "error_message": None, "action_map_name": None}
        told |= {"action_number": action.events[0].action_number, "offered_at": action.events[0].offered_at}
        self.append(TimedOut.of(told))

    def end_overdue_parking(self) -> None:
        """End the wait of every parked signal whose time is over."""
        due_before = self.context.now - self.context.rules.parking_time
        if self.offer.parked_since is None or self.offer.parked_since > due_before:
            return
        for parked in self.offer.parked:
            if parked.recorded_at <= due_before:
                self.append(
                    ParkingEnded(
                        originator_id=self.offer.id,
                        originator_version=self.offer.version + 1,
                        organization=parked.organization,
                        visitor=parked.visitor.keeping(None),
                        action_map_id=parked.action_map_id,
                        action_id=parked.action_id,
                        recorded_at=self.context.now,
                        parked_state=parked.parked_state,
                    )
                )
                self.ended.append((parked, Reason.NEVER_REACHABLE))

    def append(self, event: Event) -> None:
        self.events.append(event)
        self.offer = evolve(self.offer, event)

    def told_by(self, signal: Signal) -> dict[str, Any]:
        """What an event made from this signal says."""
        return {
            "originator_id": self.offer.id,
            "originator_version": self.offer.version + 1,
            "organization": self.context.organization,
            "visitor": EventVisitor.of(
                {
                    "customer_id": signal.customer_id,
                    "customer_id_type": signal.customer_id_type,
                    "session_id": signal.session_id,
                    "raw": None,
                }
            ),
            "action_map_id": signal.action_map_id,
            "action_id": signal.action_id,
            "recorded_at": self.context.now,
            "media_type": signal.media_type,
            "action_map_version": signal.action_map_version,
            "action_map_name": signal.action_map_name,
            "event_id": signal.event_id,
            "occurred_at": signal.occurred_at or self.context.now,
            "dated": signal.occurred_at is not None,
            "error_code": signal.error_code,
            "error_message": signal.error_message,
            "timeout_seconds": signal.timeout_seconds,
        }

    def told_again(self, report: SignalEvent) -> dict[str, Any]:
        """What an event made from an earlier report says, now that it comes true."""
        told: dict[str, Any] = {name: getattr(report, name) for name in SIGNAL_EVENT_FIELDS}
        return told | {
            "originator_version": self.offer.version + 1,
            "recorded_at": self.context.now,
            "visitor": report.visitor.keeping(None),
        }


def _remembered(refused: OfferRefused) -> Blocker:
    return Blocker(refused.reason, refused.blocking_state, refused.blocking_action_id, refused.blocking_since)
