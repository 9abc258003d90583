"""The three kinds of decision that the writer is asked for; each is pure until it is written."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision, decide, expire
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, Refusal, cut_text
from offerlog_domain.signals import Signal
from offerlog_domain.visitor_offer import VisitorOffer


def _ended(decision: Decision, context: DecisionContext) -> list[Refusal]:
    """The refusals of parked signals whose wait a judgement has ended."""
    refusals: list[Refusal] = []
    for parked, reason in decision.ended:
        kept, length = cut_text(parked.visitor.raw or b"")  # an older offerlog parked texts whole
        refusals.append(
            Refusal(
                context.organization,
                context.now,
                reason,
                None,
                None,
                kept,
                parked.raw_length or length,
            )
        )
    return refusals


class RecordSignal:
    """A tracked signal to be judged.

    Attributes:
        stream: The visitor-offer it is about.
        signal: What it says.
        raw: The text as it came.
        place: Where its outcome belongs in the answer.
    """

    __slots__ = ("_context", "place", "raw", "signal", "stream")

    def __init__(self, stream: UUID, signal: Signal, raw: bytes, context: DecisionContext) -> None:
        self.stream = stream
        self.signal = signal
        self.raw = raw
        self.place = 0
        self._context = context

    @property
    def rank(self) -> int:
        """Its place in lifecycle order."""
        lifecycle, state = self.signal.lifecycle, self.signal.state
        return lifecycle.rank(state) if lifecycle is not None and isinstance(state, State) else 0

    def decide(self, offer: VisitorOffer) -> Decision:
        """What becomes of it."""
        return decide(offer, self.signal, self.raw, self._context)

    def refusals(self, decision: Decision) -> Sequence[Refusal]:
        """Its own refusal, if it is one, behind those of parked signals it ended."""
        if decision.outcome is not OutcomeKind.REFUSED and not decision.ended:
            return ()
        ended = _ended(decision, self._context)
        if decision.outcome is OutcomeKind.REFUSED and decision.reason is not None:
            ended.append(self.refusal(decision.reason))
        return ended

    def outcome(self, kind: OutcomeKind, reason: Reason | None = None) -> Outcome:
        """The answer to whoever sent it."""
        signal = self.signal
        return Outcome(kind, reason, signal.action_id, signal.state.value, None, None, signal.event_id)

    def refusal(self, reason: Reason) -> Refusal:
        """Its line in the refusal log."""
        return Refusal(self._context.organization, self._context.now, reason, None, None, *cut_text(self.raw))


class RequestOffer:
    """An offer asked for; blocked ones are decisions, not refusals.

    Attributes:
        stream: The visitor-offer.
        named: Whether the caller brought its own action id, so that a refusal must be remembered.
    """

    __slots__ = ("_context", "_signal", "named", "stream")
    raw: Final = b""

    def __init__(self, stream: UUID, signal: Signal, context: DecisionContext, *, named: bool) -> None:
        self.stream = stream
        self.named = named
        self._signal = signal
        self._context = context

    def decide(self, offer: VisitorOffer) -> Decision:
        """Offered or blocked."""
        return decide(offer, self._signal, b"", self._context, remember=self.named)

    def refusals(self, decision: Decision) -> Sequence[Refusal]:
        """Only those of parked signals it ended."""
        return _ended(decision, self._context)


class ExpireOffer:
    """A visitor-offer to be looked at because time has passed.

    Attributes:
        stream: The visitor-offer.
    """

    __slots__ = ("_context", "stream")
    raw: Final = b""

    def __init__(self, stream: UUID, context: DecisionContext) -> None:
        self.stream = stream
        self._context = context

    def decide(self, offer: VisitorOffer) -> Decision:
        """What is due."""
        return expire(offer, self._context)

    def refusals(self, decision: Decision) -> Sequence[Refusal]:
        """Those of parked signals it ended."""
        return _ended(decision, self._context)
