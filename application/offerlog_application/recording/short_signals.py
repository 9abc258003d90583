"""The commands of short signals: to record one, and to release one that waits.

Such a signal names its action alone. The writer looks the action up before it loads (`look_up`). A signal
whose action is not known belongs to no visitor-offer: it is decided against an empty one, which is never
stored, and waits beside the log.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from offerlog_application.ports.short_signals import (
    MOST_OFFERS_OF_ACTION,
    FoundAction,
    NamedAction,
    ParkedShortSignal,
)
from offerlog_application.recording.commands import RecordSignal, refuse_ended_parkings
from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.submission import UndatedRefusal
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision, decide
from offerlog_domain.event_fields import RecordedEvent, SignalEvent
from offerlog_domain.identity import OfferKey, OrganizationKey, name_offer
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, Refusal, cut_text
from offerlog_domain.short_signals import ShortSignal
from offerlog_domain.uuids import parse_uuid
from offerlog_domain.visitor_offer import VisitorOffer

_NO_MAP: Final = UUID(int=0)

_PASSING_REASONS: Final = frozenset({Reason.CROWDED, Reason.FROM_THE_FUTURE})
"""The reasons that may not hold any more at a second look at a signal that waits."""


class _ShortSignalCommand:
    """A command about a short signal.

    Attributes:
        signal: The signal.
        action: Its action.
        candidates: The visitor-offers that have the action, if they are several.
        offer: The visitor-offer that has the action; one that is never stored as long as it is not known.
        stream: The id of that visitor-offer.
    """

    __slots__ = ("_found", "_nowhere", "action", "candidates", "offer", "signal", "stream")
    is_short: Final = True
    reports_block: Final = False

    def __init__(self, key: OrganizationKey, signal: ShortSignal) -> None:
        self.signal = signal
        self.action = NamedAction(key.organization, parse_uuid(signal.action_id))
        self._nowhere = name_offer(key.organization, key.action_digest(self.action.action_id), _NO_MAP)
        self._found = FoundAction()
        self.candidates: Sequence[OfferKey] = ()
        self.offer: OfferKey = self._nowhere
        self.stream: UUID = self._nowhere.id

    @property
    def has_visitor(self) -> bool:
        """False as long as the action is not known."""
        return self.offer is not self._nowhere

    def look_up(self, found: FoundAction, fresh: Collection[OfferKey]) -> None:
        """Note where the action is.

        Args:
            found: The look-up in the store.
            fresh: The visitor-offers in which the same group offers an action of that id.
        """
        offers = {offer.id: offer for offer in (*found.offers, *fresh)}
        self._found = found
        self.candidates = [*offers.values()] if 1 < len(offers) <= MOST_OFFERS_OF_ACTION else ()
        self.offer = next(iter(offers.values())) if len(offers) == 1 else self._nowhere
        self.stream = self.offer.id

    def settle(self, offer: OfferKey | None) -> None:
        """Note the visitor-offer of the action, as it was found before the writer gets the command.

        Args:
            offer: The visitor-offer; None if it is not known.
        """
        self.candidates = ()
        self.offer = self._nowhere if offer is None else offer
        self.stream = self.offer.id

    def choose(self, offers: Mapping[UUID, VisitorOffer]) -> None:
        """Choose the candidate in which the action is open, if it is open in exactly one.

        Args:
            offers: The visitor-offers as they are before the decision; all candidates are among them.
        """
        if self.candidates:
            action_id = self.action.action_id
            opened = [one for one in self.candidates if offers[one.id].is_open(action_id)]
            self.offer = opened[0] if len(opened) == 1 else self._nowhere
            self.stream = self.offer.id

    def find_blocked(self, decision: Decision, context: DecisionContext, key: OrganizationKey) -> None:
        """Return None: no action begins with a short signal, so it never asks for an offer."""
        del decision, context, key

    def _decide(
        self,
        offer: VisitorOffer,
        begun: RecordedEvent[SignalEvent],
        text: Callable[[], bytes],
        context: DecisionContext,
    ) -> Decision:
        """Decide the signal as the whole one that its action makes of it."""
        signal = self.signal.complete(
            self.offer.action_map_id, begun.event.media_type, begun.event.action_map_version
        )
        if signal.lifecycle is None:
            return Decision(offer, OutcomeKind.REFUSED, Reason.NOT_TRACKED)
        return decide(offer, signal, text, context)

    def _find_begun(self, offer: VisitorOffer) -> RecordedEvent[SignalEvent] | None:
        """Return the event of the action's offer, made or refused; None if the visitor-offer has neither."""
        action = offer.find_action(self.action.action_id)
        return offer.find_refused_offer(self.action.action_id) if action is None else action.offer

    def _refusals_of(
        self, decision: Decision, context: DecisionContext, raw: bytes, raw_length: int | None
    ) -> list[Refusal]:
        refusals = refuse_ended_parkings(self.offer, decision, context)
        if decision.outcome is OutcomeKind.REFUSED and decision.reason is not None:
            refusals.append(self._refusal(decision.reason, raw, raw_length).at(context))
        return refusals

    def _refusal(self, reason: Reason, raw: bytes, raw_length: int | None) -> UndatedRefusal:
        if self.offer is self._nowhere:
            return UndatedRefusal(reason, None, None, raw, raw_length)
        offer = self.offer
        return UndatedRefusal(reason, None, None, raw, raw_length, offer.visitor_digest, offer.action_map_id)


class RecordShortSignal(_ShortSignalCommand):
    """The command to record a short signal.

    Attributes:
        place: The place of its outcome in the answer.
        is_repeat: True if the group has an earlier short signal of the same action and state.
    """

    __slots__ = ("_text", "is_repeat", "place")

    def __init__(self, key: OrganizationKey, signal: ShortSignal, text: SignalText) -> None:
        super().__init__(key, signal)
        self.place = 0
        self.is_repeat = False
        self._text = text

    @property
    def text_size(self) -> int:
        """Bytes of the signal's text, roughly."""
        return self._text.size

    @property
    def rank(self) -> int:
        """The signal's place in lifecycle order."""
        return self.signal.rank

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide what becomes of the signal. Parked without any event, it waits beside the log."""
        begun = self._find_begun(offer)
        if begun is not None:
            return self._decide(offer, begun, self._text.to_bytes, context)
        if self.signal.state.value in self._found.parked:
            return Decision(offer, OutcomeKind.DUPLICATE)
        if self._found.is_crowded:
            return Decision(offer, OutcomeKind.REFUSED, Reason.CROWDED)
        return Decision(offer, OutcomeKind.DUPLICATE if self.is_repeat else OutcomeKind.PARKED)

    def decide_found(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide the signal in a visitor-offer that was found; no outcome if that lacks the action."""
        begun = self._find_begun(offer)
        return Decision(offer) if begun is None else self._decide(offer, begun, self._text.to_bytes, context)

    def refusals_found(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the same as `refusals`."""
        return self.refusals(decision, context)

    def begun_parking(self, decision: Decision, context: DecisionContext) -> ParkedShortSignal | None:
        """Return the signal as it is to wait beside the log; None if it does not."""
        if decision.outcome is not OutcomeKind.PARKED or decision.events:
            return None
        return ParkedShortSignal(*self.action, self.signal, context.now, *cut_text(self._text.to_bytes()))

    def ended_parking(self, decision: Decision) -> int | None:
        """Return None: it has not waited."""
        del decision
        return None

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of parked signals that the decision ended, then the signal's own, if any."""
        return self._refusals_of(decision, context, *cut_text(self._text.to_bytes()))

    def outcome(self, kind: OutcomeKind, reason: Reason | None = None) -> Outcome:
        """Return the answer for the caller."""
        signal = self.signal
        return Outcome(kind, reason, signal.action_id, signal.state.value, None, None, signal.event_id)

    def refusal(self, reason: Reason) -> UndatedRefusal:
        """Return the signal's line in the refusal log."""
        return self._refusal(reason, *cut_text(self._text.to_bytes()))


class ReleaseShortSignal(_ShortSignalCommand):
    """The command to look again at a short signal that waits.

    Its outcome is None if it waits on, or if another process has ended its waiting.
    """

    __slots__ = ("_parked",)
    text_size: Final = 0

    def __init__(self, key: OrganizationKey, parked: ParkedShortSignal) -> None:
        super().__init__(key, parked.signal)
        self._parked = parked

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide the signal if its action was offered before its time was over; end it when that is over."""
        if not self._still_waits:
            return Decision(offer)
        found = self.decide_found(offer, context)
        if found.outcome is not None or context.now < self._parked.parked_at + context.rules.parking_time:
            return found
        return Decision(offer, OutcomeKind.REFUSED, Reason.NEVER_REACHABLE)

    def decide_found(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide the signal in the visitor-offer that was found, as if it had come in order.

        The decision has no outcome if the action was not offered before the signal's time was over.
        """
        parked, begun = self._parked, self._find_begun(offer)
        if begun is None or begun.event.recorded_at >= parked.parked_at + context.rules.parking_time:
            return Decision(offer)
        return self._decide(offer, begun, lambda: parked.raw, replace(context, undated_at=parked.parked_at))

    def refusals_found(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of parked signals that the decision ended, then the signal's own, if any.

        The store of the visitor-offer keeps its own once, by its number. If it may be decided otherwise the
        next time, it is not among them: `EndShortParking` has it.
        """
        refusals = refuse_ended_parkings(self.offer, decision, context)
        if is_refused_for_good(decision) and decision.reason is not None:
            undated = self._refusal(decision.reason, self._parked.raw, self._parked.raw_length)
            refusals.append(undated._replace(parked_number=self._parked.number).at(context))
        return refusals

    @property
    def _still_waits(self) -> bool:
        return self._found.parked.get(self.signal.state.value) == self._parked.number

    def begun_parking(self, decision: Decision, context: DecisionContext) -> None:
        """Return None: one that waits on is not parked anew."""
        del decision, context

    def ended_parking(self, decision: Decision) -> int | None:
        """Return the number of the signal if it waits no longer; None if it does."""
        return None if decision.outcome is None else self._parked.number

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the refusals of parked signals that the decision ended, then the signal's own, if any."""
        return self._refusals_of(decision, context, self._parked.raw, self._parked.raw_length)


class EndShortParking(ReleaseShortSignal):
    """The command to end the waiting of a short signal that was decided in another store.

    Its outcome is None if another process has ended the waiting. A refusal that the other store does not keep
    is kept here, with the end.

    Args:
        key: The organization's key.
        parked: The signal.
        reason: The reason of a refusal to be kept here; None for none.
    """

    __slots__ = ("_reason",)

    def __init__(self, key: OrganizationKey, parked: ParkedShortSignal, reason: Reason | None) -> None:
        super().__init__(key, parked)
        self._reason = reason

    def look_up(self, found: FoundAction, fresh: Collection[OfferKey]) -> None:
        """Note whether the signal still waits. It was decided elsewhere, wherever its action is."""
        del fresh
        self._found = found

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide to end the waiting, if the signal still waits."""
        del context
        if not self._still_waits:
            return Decision(offer)
        if self._reason is None:
            return Decision(offer, OutcomeKind.DUPLICATE)
        return Decision(offer, OutcomeKind.REFUSED, self._reason)


ShortSignalCommand = RecordShortSignal | ReleaseShortSignal


def is_refused_for_good(decision: Decision) -> bool:
    """Return True if a signal is refused, and would be each time again, whatever comes meanwhile."""
    return decision.outcome is OutcomeKind.REFUSED and decision.reason not in _PASSING_REASONS


class KnownShortSignal:
    """The command to decide a short signal in a visitor-offer that was found before, maybe in another store.

    Its outcome is None if the visitor-offer does not have the action (any more).

    Args:
        short: The command for the short signal; it is settled in the visitor-offer.
        offer: The visitor-offer.

    Attributes:
        offer: The visitor-offer.
        stream: The id of the visitor-offer.
    """

    __slots__ = ("_short", "offer", "stream")
    is_short: Final = False
    has_visitor: Final = True
    reports_block: Final = False

    def __init__(self, short: ShortSignalCommand, offer: OfferKey) -> None:
        short.settle(offer)
        self._short = short
        self.offer = offer
        self.stream = offer.id

    @property
    def text_size(self) -> int:
        """Bytes of the signal's text, roughly."""
        return self._short.text_size

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide what becomes of the signal."""
        return self._short.decide_found(offer, context)

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the lines of the refusal log that come with the decision."""
        return self._short.refusals_found(decision, context)

    def find_blocked(self, decision: Decision, context: DecisionContext, key: OrganizationKey) -> None:
        """Return None: no action begins with a short signal."""
        del decision, context, key


def note_actions(
    shorts: Iterable[ShortSignalCommand],
    commands: Iterable[object],
    found: Mapping[NamedAction, FoundAction],
) -> None:
    """Note for the short signals of a group where their actions are.

    Args:
        shorts: Their commands, in order.
        commands: All commands of the group. The actions that it offers itself are known.
        found: The look-ups in the store.
    """
    fresh: dict[NamedAction, list[OfferKey]] = {}
    for command in commands:
        if isinstance(command, RecordSignal) and command.signal.state is State.OFFERED:
            action = NamedAction(command.offer.organization, command.signal.action_id)
            fresh.setdefault(action, []).append(command.offer)
    seen: set[tuple[NamedAction, str]] = set()
    for short in shorts:
        short.look_up(found[short.action], fresh.get(short.action, ()))
        if isinstance(short, RecordShortSignal):
            key = short.action, short.signal.state.value
            short.is_repeat = key in seen
            seen.add(key)
