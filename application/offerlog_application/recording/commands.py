"""The three kinds of decision that the writer is asked for; each is pure until it is written."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from offerlog_domain.context import Circumstances
from offerlog_domain.decision import Judgement, expire, judge
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, Refusal, cut_text
from offerlog_domain.signals import Signal
from offerlog_domain.visitor_offer import VisitorOffer


def _ended(judgement: Judgement, circumstances: Circumstances) -> list[Refusal]:
    """The refusals of parked signals whose wait a judgement has ended."""
    refusals: list[Refusal] = []
    for parked, reason in judgement.ended:
        kept, length = cut_text(parked.visitor.raw or b"")  # an older offerlog parked texts whole
        refusals.append(
            Refusal(
                circumstances.organization,
                circumstances.now,
                reason,
                None,
                None,
                kept,
                parked.raw_length or length,
            )
        )
    return refusals


class SignalCase:
    """A tracked signal to be judged.

    Attributes:
        stream: The visitor-offer it is about.
        signal: What it says.
        raw: The text as it came.
        place: Where its outcome belongs in the answer.
    """

    __slots__ = ("_circumstances", "place", "raw", "signal", "stream")

    def __init__(self, stream: UUID, signal: Signal, raw: bytes, circumstances: Circumstances) -> None:
        self.stream = stream
        self.signal = signal
        self.raw = raw
        self.place = 0
        self._circumstances = circumstances

    @property
    def rank(self) -> int:
        """Its place in lifecycle order."""
        lifecycle, state = self.signal.lifecycle, self.signal.state
        return lifecycle.rank(state) if lifecycle is not None and isinstance(state, State) else 0

    def decide(self, offer: VisitorOffer) -> Judgement:
        """What becomes of it."""
        return judge(offer, self.signal, self.raw, self._circumstances)

    def refusals(self, judgement: Judgement) -> Sequence[Refusal]:
        """Its own refusal, if it is one, behind those of parked signals it ended."""
        if judgement.outcome is not OutcomeKind.REFUSED and not judgement.ended:
            return ()
        ended = _ended(judgement, self._circumstances)
        if judgement.outcome is OutcomeKind.REFUSED and judgement.reason is not None:
            ended.append(self.refusal(judgement.reason))
        return ended

    def outcome(self, kind: OutcomeKind, reason: Reason | None = None) -> Outcome:
        """The answer to whoever sent it."""
        return Outcome(kind, reason, self.signal.action_id, self.signal.state.value)

    def refusal(self, reason: Reason) -> Refusal:
        """Its line in the refusal log."""
        return Refusal(
            self._circumstances.organization, self._circumstances.now, reason, None, None, *cut_text(self.raw)
        )


class OfferCase:
    """An offer asked for; blocked ones are decisions, not refusals.

    Attributes:
        stream: The visitor-offer.
        named: Whether the caller brought its own action id, so that a refusal must be remembered.
    """

    __slots__ = ("_circumstances", "_signal", "named", "stream")
    raw: Final = b""

    def __init__(self, stream: UUID, signal: Signal, circumstances: Circumstances, *, named: bool) -> None:
        self.stream = stream
        self.named = named
        self._signal = signal
        self._circumstances = circumstances

    def decide(self, offer: VisitorOffer) -> Judgement:
        """Offered or blocked."""
        return judge(offer, self._signal, b"", self._circumstances, remember=self.named)

    def refusals(self, judgement: Judgement) -> Sequence[Refusal]:
        """Only those of parked signals it ended."""
        return _ended(judgement, self._circumstances)


class ExpiryCase:
    """A visitor-offer to be looked at because time has passed.

    Attributes:
        stream: The visitor-offer.
    """

    __slots__ = ("_circumstances", "stream")
    raw: Final = b""

    def __init__(self, stream: UUID, circumstances: Circumstances) -> None:
        self.stream = stream
        self._circumstances = circumstances

    def decide(self, offer: VisitorOffer) -> Judgement:
        """What is due."""
        return expire(offer, self._circumstances)

    def refusals(self, judgement: Judgement) -> Sequence[Refusal]:
        """Those of parked signals it ended."""
        return _ended(judgement, self._circumstances)
