"""The four commands of the write side. Each is pure: the writer stores what it decides."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.submission import UndatedRefusal
from offerlog_domain.block_signals import KNOWN_REASONS, NativeBlock
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision, decide, expire
from offerlog_domain.events import OfferRefused
from offerlog_domain.identity import BlockKey, OfferKey, OrganizationKey
from offerlog_domain.lifecycle import State
from offerlog_domain.offer_rule import find_timing_fault
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, Refusal, cut_text
from offerlog_domain.signals import NativeSignal
from offerlog_domain.uuids import format_uuid
from offerlog_domain.visitor_offer import VisitorOffer

_Signal = TypeVar("_Signal", bound=NativeSignal | NativeBlock)


def refuse_ended_parkings(offer: OfferKey, decision: Decision, context: DecisionContext) -> list[Refusal]:
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


def _find_blocked(
    offer: OfferKey, signal: NativeSignal, decision: Decision, context: DecisionContext, key: BlockKey | None
) -> BlockedOffer | None:
    """Return the offer that a decision has blocked, if no event of the visitor-offer counts it."""
    blocker = decision.blocker
    if decision.outcome is not OutcomeKind.REFUSED or blocker is None:
        return None
    if any(isinstance(recorded.event, OfferRefused) for recorded in decision.events):
        return None
    at = signal.occurred_at or context.now
    reason, version = blocker.reason.value, signal.action_map_version
    return BlockedOffer(offer, reason, at, context.now, signal.media_type, version, key)


class _SignalCommand(Generic[_Signal]):
    """The base of a command for a signal that names its visitor-offer.

    Attributes:
        offer: The visitor-offer that the signal names.
        stream: The id of the visitor-offer.
        signal: The signal.
        place: The place of its outcome in the answer.
    """

    __slots__ = ("_text", "offer", "place", "signal", "stream")
    is_short: Final = False
    has_visitor: Final = True

    def __init__(self, offer: OfferKey, signal: _Signal, text: SignalText) -> None:
        self.offer = offer
        self.stream = offer.id
        self.signal = signal
        self.place = 0
        self._text = text

    @property
    def text_size(self) -> int:
        """Bytes of the signal's text, roughly."""
        return self._text.size

    def refusal(self, reason: Reason) -> UndatedRefusal:
        """Return the signal's line in the refusal log."""
        kept, length = cut_text(self._text.to_bytes())
        offer = self.offer
        return UndatedRefusal(reason, None, None, kept, length, offer.visitor_digest, offer.action_map_id)


class RecordSignal(_SignalCommand[NativeSignal]):
    """The command to record a tracked signal."""

    __slots__ = ()
    reports_block: Final = False

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

    def find_blocked(
        self, decision: Decision, context: DecisionContext, key: OrganizationKey
    ) -> BlockedOffer | None:
        """Return the offer that the decision has blocked, if no event of the visitor-offer counts it."""
        name = key.block_of_action(self.offer, self.signal.action_id)
        return _find_blocked(self.offer, self.signal, decision, context, name)

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of parked signals that the decision ended, then the signal's own, if any."""
        refusals = refuse_ended_parkings(self.offer, decision, context)
        if decision.outcome is OutcomeKind.REFUSED and decision.reason is not None:
            refusals.append(self.refusal(decision.reason).at(context))
        return refusals

    def outcome(self, kind: OutcomeKind, reason: Reason | None = None) -> Outcome:
        """Return the answer for the caller."""
        signal = self.signal
        event_id = None if signal.event_id is None else format_uuid(signal.event_id)
        action_id, state = format_uuid(signal.action_id), signal.state.value
        return Outcome(kind, reason, action_id, state, None, None, event_id)


class RequestOffer:
    """The command to make an offer. A blocked offer is a decision, not a refusal.

    Attributes:
        offer: The visitor-offer.
        stream: Its id.
        has_own_id: True if the caller brought its own action id, so that a refusal must be remembered.
    """

    __slots__ = ("_signal", "has_own_id", "offer", "stream")
    is_short: Final = False
    has_visitor: Final = True
    text_size: Final = 0
    reports_block: Final = False

    def __init__(self, offer: OfferKey, signal: NativeSignal, *, has_own_id: bool) -> None:
        self.offer = offer
        self.stream = offer.id
        self.has_own_id = has_own_id
        self._signal = signal

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide whether the offer is made or blocked."""
        return decide(offer, self._signal, bytes, context, remember=self.has_own_id)

    def find_blocked(
        self, decision: Decision, context: DecisionContext, key: OrganizationKey
    ) -> BlockedOffer | None:
        """Return the offer that the decision has blocked, if no event of the visitor-offer counts it."""
        name = key.block_of_action(self.offer, self._signal.action_id) if self.has_own_id else None
        return _find_blocked(self.offer, self._signal, decision, context, name)

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of the parked signals that the decision ended."""
        return refuse_ended_parkings(self.offer, decision, context)


class ExpireOffer:
    """The command to record what the passing of time brings about in a visitor-offer.

    Attributes:
        offer: The visitor-offer.
        stream: Its id.
    """

    __slots__ = ("offer", "stream")
    is_short: Final = False
    has_visitor: Final = True
    text_size: Final = 0
    reports_block: Final = False

    def __init__(self, offer: OfferKey) -> None:
        self.offer = offer
        self.stream = offer.id

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide what is due."""
        return expire(offer, context)

    def find_blocked(
        self, decision: Decision, context: DecisionContext, key: OrganizationKey
    ) -> BlockedOffer | None:
        """Return None: the passing of time blocks no offer."""

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of the parked signals that the decision ended."""
        return refuse_ended_parkings(self.offer, decision, context)


class RecordBlock(_SignalCommand[NativeBlock]):
    """The command to count an offer that the vendor has blocked.

    It decides nothing about the visitor-offer. Its first outcome is `recorded` or a refusal for its time; the
    group finds out whether it is a `duplicate`.
    """

    __slots__ = ()
    reports_block: Final = True

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide whether the signal's time is fine (check 3), and the reason of one from a widget known.

        Anybody may hold a widget key, and could fill the reports with invented reasons.
        """
        if context.from_widget and self.signal.reason not in KNOWN_REASONS:
            return Decision(offer, OutcomeKind.REFUSED, Reason.NOT_TRACKED)
        fault = find_timing_fault(self.signal.occurred_at, context)
        if fault is not None:
            return Decision(offer, OutcomeKind.REFUSED, fault)
        return Decision(offer, OutcomeKind.RECORDED)

    def find_blocked(
        self, decision: Decision, context: DecisionContext, key: OrganizationKey
    ) -> BlockedOffer | None:
        """Return the blocked offer; None if the signal is refused."""
        if decision.outcome is OutcomeKind.REFUSED:
            return None
        signal = self.signal
        return BlockedOffer(
            self.offer,
            signal.reason,
            signal.occurred_at or context.now,
            context.now,
            signal.media_type,
            signal.action_map_version,
            key.block_of_event(self.offer, signal.event_id),
        )

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the signal's refusal, if it is refused."""
        return [] if decision.reason is None else [self.refusal(decision.reason).at(context)]

    def outcome(self, kind: OutcomeKind, reason: Reason | None = None) -> Outcome:
        """Return the answer for the caller."""
        signal = self.signal
        action_id = None if signal.action_id is None else format_uuid(signal.action_id)
        return Outcome(kind, reason, action_id, event_id=format_uuid(signal.event_id))
