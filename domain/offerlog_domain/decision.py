"""Pure decisions about a visitor-offer: what becomes of a signal, and what the passing of time brings about.

`decide` gives every tracked signal exactly one outcome, by the order of checks in the docs ("What happens to
a signal"). `expire` decides where no signal comes but time passes. Both return the events to append. The
current time comes with the `DecisionContext`.
"""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from offerlog_domain.context import DecisionContext
from offerlog_domain.event_factory import (
    SignalEventFields,
    copy_private_fields,
    copy_public_fields,
    private_fields_of,
    public_fields_of,
)
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent, has_content_of
from offerlog_domain.events import (
    LIFECYCLE_EVENTS,
    LifecycleEvent,
    OfferRefused,
    ParkingEnded,
    Rejected,
    SignalParked,
    TimedOut,
)
from offerlog_domain.lifecycle import Lifecycle, State
from offerlog_domain.offer_rule import MAX_PARKED_SIGNALS, MAX_REFUSED_OFFERS, find_blocker, is_timed_out
from offerlog_domain.outcomes import Blocker, OutcomeKind, Reason, cut_text
from offerlog_domain.signals import NativeSignal
from offerlog_domain.uuids import format_uuid, parse_uuid
from offerlog_domain.visitor_offer import Action, Parked, VisitorOffer, evolve


class Decision(Struct, frozen=True, gc=False):
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
    events: tuple[RecordedEvent[Event], ...] = ()
    ended_parkings: tuple[tuple[Parked, Reason], ...] = ()

    def with_outcome(self, outcome: OutcomeKind) -> "Decision":
        """Return the same decision with another outcome."""
        return replace(self, outcome=outcome)


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
        late_arrival = max(newest.offered.recorded_at - newest.since, timedelta())
        if context.now >= newest.timeout_due_at + late_arrival + context.rules.deadline_grace:
            decider.time_out(newest)
    return decider.close(None)


class _Decider:
    """A decision while it is made: the events so far, and the visitor-offer after them."""

    __slots__ = ("context", "ended_parkings", "events", "offer")

    def __init__(self, offer: VisitorOffer, context: DecisionContext) -> None:
        self.offer = offer
        self.context = context
        self.events: list[RecordedEvent[Event]] = []
        self.ended_parkings: list[tuple[Parked, Reason]] = []

    def close(
        self, outcome: OutcomeKind | None, reason: Reason | None = None, blocker: Blocker | None = None
    ) -> Decision:
        """Return the decision with an outcome."""
        return Decision(self.offer, outcome, reason, blocker, tuple(self.events), tuple(self.ended_parkings))

    def refuse(self, reason: Reason) -> Decision:
        return self.close(OutcomeKind.REFUSED, reason)

    def call_duplicate(self, of: RecordedEvent[OfferRefused] | None = None) -> Decision:
        return self.close(OutcomeKind.DUPLICATE, None, None if of is None else _blocker_of(of))

    def decide(self, signal: NativeSignal, read_text: Callable[[], bytes], *, remember: bool) -> Decision:
        """Run the checks in their order; the first that answers wins."""
        return self.check_known(signal) or self.check_legal(signal, read_text, remember=remember)

    def check_known(self, signal: NativeSignal) -> Decision | None:
        """Decide by checks 4 to 6, for a signal that is known already; None where it is new."""
        if signal.event_id is not None and (known := self.offer.find_event(signal.event_id)) is not None:
            if not has_content_of(known, signal):
                return self.refuse(Reason.CONFLICTING_DUPLICATE)
            return self.call_duplicate(self.offer.find_refused_offer(signal.action_id))
        if (refused := self.offer.find_refused_offer(signal.action_id)) is not None:
            if signal.state is State.OFFERED:
                return self.call_duplicate(refused)
            return self.refuse(Reason.OFFER_REFUSED)
        return self.call_duplicate() if self.offer.has_state(signal.action_id, signal.state) else None

    def check_legal(
        self, signal: NativeSignal, read_text: Callable[[], bytes], *, remember: bool
    ) -> Decision:
        """Decide by checks 7 to 11: record, park or refuse a new signal by the state of its action."""
        lifecycle, state = signal.lifecycle, signal.state
        if lifecycle is None or not isinstance(state, State):
            raise ValueError(f"only a tracked signal can be decided, not {signal.media_type} {signal.state}")
        action = self.offer.find_action(signal.action_id)
        if action is None:
            if not lifecycle.follows(None, state):
                return self.park(signal, state, read_text)
            return self.take_step(None, signal, lifecycle, state, remember=remember)
        own = action.lifecycle
        if own.is_final(action.state) or (action is not self.offer.newest and action.is_offered):
            return self.refuse(Reason.ACTION_OVER)
        if own is lifecycle:  # an action stays of the media type that it was offered as
            if lifecycle.follows(action.state, state):
                return self.take_step(action, signal, lifecycle, state, remember=remember)
            if lifecycle.is_reachable(action.state, state):
                return self.park(signal, state, read_text)
        return self.refuse(Reason.NOT_LEGAL)

    def take_step(
        self,
        action: Action | None,
        signal: NativeSignal,
        lifecycle: Lifecycle,
        state: State,
        *,
        remember: bool,
    ) -> Decision:
        """Record a legal step of an action. The offer rule may refuse its offer."""
        if state is State.OFFERED:
            return self.make_offer(action, signal, lifecycle, remember=remember)
        self.record(action, state, lifecycle, self.fields_of(signal), private_fields_of(signal))
        return self.close(OutcomeKind.RECORDED)

    def make_offer(
        self, action: Action | None, signal: NativeSignal, lifecycle: Lifecycle, *, remember: bool
    ) -> Decision:
        """Apply the offer rule to a new action, or one that has qualified: record its offer, or refuse it."""
        at, dated = signal.occurred_at or self.context.now, signal.occurred_at is not None
        newest = self.offer.newest
        if newest is not None and is_timed_out(newest, at, self.context.rules, dated=dated):
            self.time_out(newest)
        policy = self.context.policy_of(signal.action_map_id)
        blocker = find_blocker(self.offer, at, self.context.rules, dated=dated, policy=policy)
        if blocker is None:
            self.record(action, State.OFFERED, lifecycle, self.fields_of(signal), private_fields_of(signal))
            return self.close(OutcomeKind.RECORDED)
        if remember and len(self.offer.refused_by_action) < MAX_REFUSED_OFFERS:
            self.remember_refusal(signal, blocker)
        return self.close(OutcomeKind.REFUSED, blocker.reason, blocker)

    def remember_refusal(self, signal: NativeSignal, blocker: Blocker) -> None:
        """Append the event of a refused offer. It ends the parked signals of its action."""
        parked_signals = self.offer.find_parked(signal.action_id)
        self.append(
            OfferRefused(
                **self.fields_of(signal),
                reason=blocker.reason,
                blocking_state=blocker.state,
                blocking_since=blocker.since,
                parked_versions=tuple(parked.originator_version for parked in parked_signals),
            ),
            private_fields_of(signal, blocking_action_id=parse_uuid(blocker.action_id)),
        )
        self.ended_parkings += [(parked, Reason.OFFER_REFUSED) for parked in parked_signals]

    def park(self, signal: NativeSignal, state: State, read_text: Callable[[], bytes]) -> Decision:
        """Keep a signal and its text until its action is far enough; refuse it where too many wait."""
        if len(self.offer.parked_by_key) >= MAX_PARKED_SIGNALS:
            return self.refuse(Reason.CROWDED)
        raw, length = cut_text(read_text())
        parked = SignalParked(**self.fields_of(signal), parked_state=state, raw_length=length)
        self.append(parked, private_fields_of(signal, raw=raw))
        return self.close(OutcomeKind.PARKED)

    def record(
        self,
        action: Action | None,
        state: State,
        lifecycle: Lifecycle,
        fields: SignalEventFields,
        private: PrivateFields,
    ) -> None:
        """Append the lifecycle event, then release the signals that are parked for its action."""
        parked = None
        if self.offer.parked_by_key:
            parked = self.offer.parked_by_key.get((private.action_id, state))
        parked_version = None if parked is None else parked.originator_version
        if action is None or not action.is_offered:
            number, offered_at = self.offer.action_count + 1, fields["occurred_at"]
        else:
            number, offered_at = action.offered.action_number, action.offered.offered_at
        stage = None if action is None else lifecycle.stage(action.state, state)
        event: LifecycleEvent
        if stage is None:
            event = LIFECYCLE_EVENTS[state](
                **fields, action_number=number, offered_at=offered_at, parked_version=parked_version
            )
        else:
            event = Rejected(
                **fields,
                action_number=number,
                offered_at=offered_at,
                parked_version=parked_version,
                rejected_stage=stage,
            )
        self.append(event, private)
        if self.offer.parked_by_key:
            self.release(private.action_id, lifecycle)

    def release(self, action_id: UUID, lifecycle: Lifecycle) -> None:
        """Record the parked signals of an action that can follow now, in lifecycle order, then by arrival.

        A parked signal of another media type than its action never follows (docs/decisions/0050).
        """
        waiting = self.offer.find_parked(action_id)
        parked_signals = [parked for parked in waiting if parked.event.media_type == lifecycle.media_type]
        for parked in sorted(parked_signals, key=lambda one: lifecycle.rank(one.event.parked_state)):
            action, state = self.offer.find_action(action_id), parked.event.parked_state
            if action is None or self.offer.parked_by_key.get((action_id, state)) is None:
                continue
            if action is self.offer.newest and lifecycle.follows(action.state, state):
                fields = copy_public_fields(parked.event, self.context.now)
                self.record(action, state, lifecycle, fields, copy_private_fields(parked))

    def time_out(self, action: Action) -> None:
        """Record the time-out that the widget never reported, at the moment when it was due."""
        offered, due_at = action.offered, action.timeout_due_at
        if due_at is None:
            raise ValueError(f"action {action.id} is answered or has no time-out")
        fields = copy_public_fields(offered, self.context.now)
        fields |= {"occurred_at": due_at, "dated": True, "action_map_name": None, "timeout_seconds": None}
        private = copy_private_fields(action.offer)
        self.append(
            TimedOut(**fields, action_number=offered.action_number, offered_at=offered.offered_at),
            replace(private, event_id=None, error_code=None, error_message=None),
        )

    def end_overdue_parkings(self) -> None:
        """End the wait of every parked signal whose time is over."""
        due_before = self.context.now - self.context.rules.parking_time
        earliest = self.offer.earliest_parked_at
        if earliest is None or earliest > due_before:
            return
        for parked in self.offer.parked_signals:
            event, private = parked.event, parked.private
            if event.recorded_at <= due_before:
                self.append(
                    ParkingEnded(
                        organization=event.organization,
                        action_map_id=event.action_map_id,
                        recorded_at=self.context.now,
                        parked_state=event.parked_state,
                        parked_version=parked.originator_version,
                    ),
                    PrivateFields(session_id=private.session_id, action_id=private.action_id),
                )
                self.ended_parkings.append((parked, Reason.NEVER_REACHABLE))

    def append(self, event: Event, private: PrivateFields) -> None:
        recorded = RecordedEvent(self.offer.id, self.offer.version + 1, event, private)
        self.events.append(recorded)
        self.offer = evolve(self.offer, recorded)

    def fields_of(self, signal: NativeSignal) -> SignalEventFields:
        return public_fields_of(signal, self.context)


def _blocker_of(refused: RecordedEvent[OfferRefused]) -> Blocker:
    event, action_id = refused.event, refused.private.blocking_action_id
    if action_id is None:
        raise ValueError(f"the refused offer at version {refused.originator_version} names no blocker")
    return Blocker(event.reason, event.blocking_state, format_uuid(action_id), event.blocking_since)
