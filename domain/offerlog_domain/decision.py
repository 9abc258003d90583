"""Pure decisions about a visitor-offer: what becomes of a signal, and what the passing of time brings about.

`decide` gives every tracked signal exactly one outcome, by the order of checks in the docs ("What happens to
a signal"). `expire` decides where no signal comes but time passes. Both return the events to append. The
current time comes with the `DecisionContext`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from offerlog_domain.context import DecisionContext
from offerlog_domain.event_factory import (
    SignalEventFields,
    build_lifecycle_event,
    build_offer_refused,
    build_parking_ended,
    build_signal_parked,
    build_visitor,
    copy_signal_fields,
    drop_text,
)
from offerlog_domain.event_fields import Event, SignalEvent, has_content_of
from offerlog_domain.events import LIFECYCLE_EVENTS, OfferRefused, SignalParked, TimedOut
from offerlog_domain.lifecycle import Lifecycle, State
from offerlog_domain.offer_rule import MAX_PARKED_SIGNALS, MAX_REFUSED_OFFERS, find_blocker, is_timed_out
from offerlog_domain.outcomes import Blocker, OutcomeKind, Reason, cut_text
from offerlog_domain.signals import NativeSignal
from offerlog_domain.uuids import format_uuid
from offerlog_domain.visitor_offer import Action, VisitorOffer, evolve


class Decision(NamedTuple):
    """An outcome, and the events that must be stored for it, all or none.

    Attributes:
        offer: The visitor-offer after the events.
        outcome: The outcome of the signal; None for `expire`, which has no signal.
        reason: The reason of a refusal; None for any other outcome.
        blocker: What stands against an offer that is refused, or was refused before.
        events: The events to append, in order.
        ended_parkings: Parked signals that end here without being recorded, each with the reason.
    """

    offer: VisitorOffer
    outcome: OutcomeKind | None = None
    reason: Reason | None = None
    blocker: Blocker | None = None
    events: tuple[Event, ...] = ()
    ended_parkings: tuple[tuple[SignalParked, Reason], ...] = ()


def decide(
    offer: VisitorOffer,
    signal: NativeSignal,
    read_text: Callable[[], bytes],
    context: DecisionContext,
    *,
    remember: bool = True,
) -> Decision:
    """Decide what becomes of one tracked signal.

    Args:
        offer: The visitor-offer as it stands.
        signal: The signal; its `lifecycle` is not None.
        read_text: Returns the text of the signal as it came. It is called only if the signal is parked.
        context: Tenant, current time and rules.
        remember: True to remember a refused `offered` for its action id, as far as the visitor-offer is not
            crowded. False where nobody can ever name that id again.
    """
    decider = _Decider(offer, context)
    decider.end_overdue_parkings()
    return decider.decide(signal, read_text, remember=remember)


def expire(offer: VisitorOffer, context: DecisionContext) -> Decision:
    """Record what the passing of time alone brings about: a due time-out, and the end of overdue parkings.

    A time-out is due when the clock has passed both the invitation's `occurred_at` and its `recorded_at` by
    time-out and grace (domain rule "Deadline", case a).
    """
    decider = _Decider(offer, context)
    decider.end_overdue_parkings()
    newest = offer.newest
    if newest is not None and newest.timeout_due_at is not None:
        late_arrival = max(newest.events[0].recorded_at - newest.since, timedelta())
        if context.now >= newest.timeout_due_at + late_arrival + context.rules.deadline_grace:
            decider.time_out(newest)
    return decider.close(None)


class _Decider:
    """A decision while it is made: the events so far, and the visitor-offer after them."""

    __slots__ = ("context", "ended_parkings", "events", "offer")

    def __init__(self, offer: VisitorOffer, context: DecisionContext) -> None:
        self.offer = offer
        self.context = context
        self.events: list[Event] = []
        self.ended_parkings: list[tuple[SignalParked, Reason]] = []

    def close(
        self, outcome: OutcomeKind | None, reason: Reason | None = None, blocker: Blocker | None = None
    ) -> Decision:
        """Return the decision with an outcome."""
        return Decision(self.offer, outcome, reason, blocker, tuple(self.events), tuple(self.ended_parkings))

    def refuse(self, reason: Reason) -> Decision:
        return self.close(OutcomeKind.REFUSED, reason)

    def call_duplicate(self, of: OfferRefused | None = None) -> Decision:
        return self.close(OutcomeKind.DUPLICATE, None, None if of is None else _blocker_of(of))

    def decide(self, signal: NativeSignal, read_text: Callable[[], bytes], *, remember: bool) -> Decision:
        """Run the checks in their order; the first that answers wins."""
        return self.check_known(signal) or self.check_legal(signal, read_text, remember=remember)

    def check_known(self, signal: NativeSignal) -> Decision | None:
        """Decide by checks 4 to 6, for a signal that is known already; None where it is new."""
        if (
            signal.event_id is not None
            and (event := self.offer.find_event(format_uuid(signal.event_id))) is not None
        ):
            if not has_content_of(event, signal):
                return self.refuse(Reason.CONFLICTING_DUPLICATE)
            return self.call_duplicate(event if isinstance(event, OfferRefused) else None)
        action_id = format_uuid(signal.action_id)
        if (refused := self.offer.find_refused_offer(action_id)) is not None:
            if signal.state is State.OFFERED:
                return self.call_duplicate(refused)
            return self.refuse(Reason.OFFER_REFUSED)
        return self.call_duplicate() if self.offer.has_state(action_id, signal.state) else None

    def check_legal(
        self, signal: NativeSignal, read_text: Callable[[], bytes], *, remember: bool
    ) -> Decision:
        """Decide by checks 7 to 11: record, park or refuse a new signal by the state of its action."""
        lifecycle, state = signal.lifecycle, signal.state
        if lifecycle is None or not isinstance(state, State):
            raise ValueError(f"only a tracked signal can be decided, not {signal.media_type} {signal.state}")
        action = self.offer.find_action(format_uuid(signal.action_id))
        if action is None:
            if lifecycle.follows(None, state):
                return self.begin_action(signal, lifecycle, remember=remember)
            return self.park(signal, state, read_text)
        if (media_type := action.events[0].media_type) != signal.media_type:
            raise ValueError(f"a signal of {signal.media_type} for an action of {media_type} is not decided")
        if lifecycle.is_final(action.state) or action is not self.offer.newest:
            return self.refuse(Reason.ACTION_OVER)
        if lifecycle.follows(action.state, state):
            self.record(action, state, lifecycle, self.fields_of(signal))
            return self.close(OutcomeKind.RECORDED)
        if lifecycle.is_reachable(action.state, state):
            return self.park(signal, state, read_text)
        return self.refuse(Reason.NOT_LEGAL)

    def begin_action(self, signal: NativeSignal, lifecycle: Lifecycle, *, remember: bool) -> Decision:
        """Apply the offer rule to a new action: record it, or refuse it."""
        at, dated = signal.occurred_at or self.context.now, signal.occurred_at is not None
        newest = self.offer.newest
        if newest is not None and is_timed_out(newest, at, self.context.rules, dated=dated):
            self.time_out(newest)
        blocker = find_blocker(self.offer, at, self.context.rules, dated=dated)
        if blocker is None:
            self.record(None, State.OFFERED, lifecycle, self.fields_of(signal))
            return self.close(OutcomeKind.RECORDED)
        if remember and len(self.offer.refused_by_action) < MAX_REFUSED_OFFERS:
            parked_signals = self.offer.find_parked(format_uuid(signal.action_id))
            self.append(build_offer_refused(self.fields_of(signal), blocker))
            self.ended_parkings += [(parked, Reason.OFFER_REFUSED) for parked in parked_signals]
        return self.close(OutcomeKind.REFUSED, blocker.reason, blocker)

    def park(self, signal: NativeSignal, state: State, read_text: Callable[[], bytes]) -> Decision:
        """Keep a signal and its text until its action is far enough; refuse it where too many wait."""
        if len(self.offer.parked_by_key) >= MAX_PARKED_SIGNALS:
            return self.refuse(Reason.CROWDED)
        raw, length = cut_text(read_text())
        self.append(build_signal_parked(self.fields_of(signal, raw), state, length))
        return self.close(OutcomeKind.PARKED)

    def record(
        self, action: Action | None, state: State, lifecycle: Lifecycle, fields: SignalEventFields
    ) -> None:
        """Append the lifecycle event, then release the signals that are parked for its action."""
        if action is None:
            stage = None
            number, offered_at = self.offer.action_count + 1, fields["occurred_at"]
        else:
            stage = lifecycle.stage(action.state, state)
            number, offered_at = action.events[0].action_number, action.events[0].offered_at
        self.append(
            build_lifecycle_event(
                LIFECYCLE_EVENTS[state],
                {**fields, "action_number": number, "offered_at": offered_at},
                stage,
            )
        )
        if self.offer.parked_by_key:
            self.release(fields["action_id"], lifecycle)

    def release(self, action_id: str, lifecycle: Lifecycle) -> None:
        """Record the parked signals of an action that can follow now, in lifecycle order, then by arrival.

        A parked signal of another media type than its action never follows.
        """
        waiting = self.offer.find_parked(action_id)
        parked_signals = [parked for parked in waiting if parked.media_type == lifecycle.media_type]
        for parked in sorted(parked_signals, key=lambda one: lifecycle.rank(one.parked_state)):
            action = self.offer.find_action(action_id)
            if action is None or self.offer.parked_by_key.get((action_id, parked.parked_state)) is None:
                continue
            if action is self.offer.newest and lifecycle.follows(action.state, parked.parked_state):
                self.record(action, parked.parked_state, lifecycle, self.fields_again(parked))

    def time_out(self, action: Action) -> None:
        """Record the time-out that the widget never reported, at the moment when it was due."""
        offered, due_at = action.events[0], action.timeout_due_at
        if due_at is None:
            raise ValueError(f"action {action.id} is answered or has no time-out")
        self.append(
            build_lifecycle_event(
                TimedOut,
                {
                    **self.fields_again(offered),
                    "event_id": None,
                    "occurred_at": due_at,
                    "timeout_seconds": None,
                    "dated": True,
                    "error_code": None,
                    "error_message": None,
                    "action_map_name": None,
                    "action_number": offered.action_number,
                    "offered_at": offered.offered_at,
                },
            )
        )

    def end_overdue_parkings(self) -> None:
        """End the wait of every parked signal whose time is over."""
        due_before = self.context.now - self.context.rules.parking_time
        earliest = self.offer.earliest_parked_at
        if earliest is None or earliest > due_before:
            return
        for parked in self.offer.parked_signals:
            if parked.recorded_at <= due_before:
                self.append(
                    build_parking_ended(
                        {
                            "originator_id": self.offer.id,
                            "originator_version": self.offer.version + 1,
                            "organization": parked.organization,
                            "visitor": drop_text(parked.visitor),
                            "action_map_id": parked.action_map_id,
                            "action_id": parked.action_id,
                            "recorded_at": self.context.now,
                        },
                        parked.parked_state,
                    )
                )
                self.ended_parkings.append((parked, Reason.NEVER_REACHABLE))

    def append(self, event: Event) -> None:
        self.events.append(event)
        self.offer = evolve(self.offer, event)

    def fields_of(self, signal: NativeSignal, raw: bytes | None = None) -> SignalEventFields:
        """Return the fields of the next event, made from a signal, with the text that it keeps."""
        now, occurred_at = self.context.now, signal.occurred_at
        return {
            "originator_id": self.offer.id,
            "originator_version": self.offer.version + 1,
            "organization": self.context.organization,
            "visitor": build_visitor(
                {
                    "customer_id": signal.customer_id,
                    "customer_id_type": signal.customer_id_type,
                    "session_id": format_uuid(signal.session_id),
                    "raw": raw,
                }
            ),
            "action_map_id": format_uuid(signal.action_map_id),
            "action_id": format_uuid(signal.action_id),
            "recorded_at": now,
            "media_type": signal.media_type,
            "action_map_version": signal.action_map_version,
            "action_map_name": signal.action_map_name,
            "event_id": None if signal.event_id is None else format_uuid(signal.event_id),
            "occurred_at": now if occurred_at is None else occurred_at,
            "dated": occurred_at is not None,
            "error_code": signal.error_code,
            "error_message": signal.error_message,
            "timeout_seconds": signal.timeout_seconds,
        }

    def fields_again(self, event: SignalEvent) -> SignalEventFields:
        """Return the fields of the next event, made from the signal of an earlier event."""
        fields = copy_signal_fields(event)
        fields["originator_version"] = self.offer.version + 1
        fields["recorded_at"] = self.context.now
        return fields


def _blocker_of(refused: OfferRefused) -> Blocker:
    return Blocker(refused.reason, refused.blocking_state, refused.blocking_action_id, refused.blocking_since)
