"""The three commands of the write side. Each is pure: the writer stores what it decides."""

from collections.abc import Sequence
from typing import Final

from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.submission import UndatedRefusal
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision, decide, expire
from offerlog_domain.identity import OfferKey
from offerlog_domain.lifecycle import State
from offerlog_domain.offer_rule import find_timing_fault
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, Refusal, cut_text
from offerlog_domain.signals import NativeSignal
from offerlog_domain.uuids import format_uuid
from offerlog_domain.visitor_offer import VisitorOffer


def _refuse_ended_parkings(offer: OfferKey, decision: Decision, context: DecisionContext) -> list[Refusal]:
    """Return the refusals of the parked signals that a decision has ended."""
    refusals: list[Refusal] = []
    for parked, reason in decision.ended_parkings:
        kept, length = cut_text(parked.private.raw or b"")  # an older offerlog parked texts whole
        refusals.append(
            Refusal(
                context.organization,
                context.now,
                reason,
                None,
                None,
                kept,
                parked.event.raw_length or length,
                offer.visitor_digest,
                offer.action_map_id,
            )
        )
    return refusals


class RecordSignal:
    """The command to record a tracked signal.

    Attributes:
        offer: The visitor-offer that the signal belongs to.
        stream: Its id.
        signal: The signal.
        place: The place of its outcome in the answer.
    """

    __slots__ = ("_text", "offer", "place", "signal", "stream")

    def __init__(self, offer: OfferKey, signal: NativeSignal, text: SignalText) -> None:
        self.offer = offer
        self.stream = offer.id
        self.signal = signal
        self.place = 0
        self._text = text

    @property
    def text_size(self) -> int:
        """Bytes of the signal's text, roughly."""
        return self._text.size

    @property
    def rank(self) -> int:
        """The signal's place in lifecycle order."""
        lifecycle, state = self.signal.lifecycle, self.signal.state
        return lifecycle.rank(state) if lifecycle is not None and isinstance(state, State) else 0

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide what becomes of the signal; one that is refused for its time (check 3) changes nothing."""
        fault = find_timing_fault(self.signal.occurred_at, context)
        if fault is not None:
            return Decision(offer, OutcomeKind.REFUSED, fault)
        return decide(offer, self.signal, self._text.to_bytes, context)

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of parked signals that the decision ended, then the signal's own, if any."""
        refusals = _refuse_ended_parkings(self.offer, decision, context)
        if decision.outcome is OutcomeKind.REFUSED and decision.reason is not None:
            refusals.append(self.refusal(decision.reason).at(context))
        return refusals

    def outcome(self, kind: OutcomeKind, reason: Reason | None = None) -> Outcome:
        """Return the answer for the caller."""
        signal = self.signal
        event_id = None if signal.event_id is None else format_uuid(signal.event_id)
        action_id, state = format_uuid(signal.action_id), signal.state.value
        return Outcome(kind, reason, action_id, state, None, None, event_id)

    def refusal(self, reason: Reason) -> UndatedRefusal:
        """Return the signal's line in the refusal log."""
        kept, length = cut_text(self._text.to_bytes())
        offer = self.offer
        return UndatedRefusal(reason, None, None, kept, length, offer.visitor_digest, offer.action_map_id)


class RequestOffer:
    """The command to make an offer. A blocked offer is a decision, not a refusal.

    Attributes:
        offer: The visitor-offer.
        stream: Its id.
        has_own_id: True if the caller brought its own action id, so that a refusal must be remembered.
    """

    __slots__ = ("_signal", "has_own_id", "offer", "stream")
    text_size: Final = 0

    def __init__(self, offer: OfferKey, signal: NativeSignal, *, has_own_id: bool) -> None:
        self.offer = offer
        self.stream = offer.id
        self.has_own_id = has_own_id
        self._signal = signal

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide whether the offer is made or blocked."""
        return decide(offer, self._signal, bytes, context, remember=self.has_own_id)

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of the parked signals that the decision ended."""
        return _refuse_ended_parkings(self.offer, decision, context)


class ExpireOffer:
    """The command to record what the passing of time brings about in a visitor-offer.

    Attributes:
        offer: The visitor-offer.
        stream: Its id.
    """

    __slots__ = ("offer", "stream")
    text_size: Final = 0

    def __init__(self, offer: OfferKey) -> None:
        self.offer = offer
        self.stream = offer.id

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide what is due."""
        return expire(offer, context)

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of the parked signals that the decision ended."""
        return _refuse_ended_parkings(self.offer, decision, context)
