"""The grammar of the domain's tests: `given(events).at(minute).when(signal).then(outcome, events)`.

Times are minutes from `START`; actions, sessions and report ids are single letters. Events are compared
whole, so a test that names one states every field of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from offerlog_domain.context import DecisionContext, Rules
from offerlog_domain.decision import Decision, decide, expire
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent
from offerlog_domain.events import LIFECYCLE_EVENTS, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.identity import OfferKey, VisitorKey, name_offer
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.offer_rule import find_blocker
from offerlog_domain.outcomes import Blocker, Reason
from offerlog_domain.signals import NativeSignal, Signal, to_native
from offerlog_domain.visitor_offer import VisitorOffer, fold

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ORGANIZATION = "acme"
STREAM = UUID(int=1)
MAP_ID = UUID(int=2)
MAP = str(MAP_ID)
CUSTOMER = "visitor-1"
RAW = b"the text as it came"
RULES = Rules()


def key_of(recorded: RecordedEvent[Event]) -> OfferKey:
    """The name of the visitor-offer of an event, of which a test chose the id."""
    event = recorded.event
    digest = UUID(int=recorded.originator_id.int ^ event.action_map_id.int)
    return name_offer(event.organization, digest, event.action_map_id, VisitorKey("cookie", CUSTOMER))


def offer_key(offer_id: UUID, organization: str = ORGANIZATION, customer: str = CUSTOMER) -> OfferKey:
    """The name of a visitor-offer of the scenario's map, of which a test chooses the id."""
    digest = UUID(int=offer_id.int ^ MAP_ID.int)
    return name_offer(organization, digest, MAP_ID, VisitorKey("cookie", customer))


def minute(number: float) -> datetime:
    """The instant so many minutes from the start."""
    return START + timedelta(minutes=number)


def native(letter: str) -> UUID:
    """The id that a letter stands for in tests."""
    return UUID(int=ord(letter))


def uuid(letter: str) -> str:
    """The same as text."""
    return str(native(letter))


@dataclass(frozen=True)
class BriefEvent:
    """A event in short: what it is, of which action, when; the rest of the stream fills in the others."""

    kind: str
    action: str
    at: datetime
    fields: dict[str, Any]
    recorded: datetime | None = None


def event(
    state: str, action: str = "a", at: float = 0, *, recorded: float | None = None, **fields: Any
) -> BriefEvent:
    """A lifecycle event; `stage` must be given for `rejected`."""
    return BriefEvent(state, action, minute(at), fields, None if recorded is None else minute(recorded))


def parked(
    state: str, action: str = "a", at: float = 0, *, recorded: float | None = None, **fields: Any
) -> BriefEvent:
    """A signal that waits."""
    brief = event("signal-parked", action, at, recorded=recorded, **fields)
    return replace(brief, fields=brief.fields | {"parked_state": State(state)})


def ended(state: str, action: str = "a") -> BriefEvent:
    """A parked signal's time was over."""
    return BriefEvent("parking-ended", action, START, {"parked_state": State(state)})


def refused(  # noqa: PLR0917 - reads as a sentence in tests
    action: str, at: float, reason: str, by: str, state: str, since: float, **fields: Any
) -> BriefEvent:
    """An offer refused and remembered."""
    blocking = {
        "reason": Reason(reason),
        "blocking_action_id": native(by),
        "blocking_state": State(state),
        "blocking_since": minute(since),
    }
    return BriefEvent("offer-refused", action, minute(at), fields | blocking)


def signal(state: str, action: str = "a", at: float | None = 0, **fields: Any) -> Signal:
    """A report that an action reached a state."""
    usual: dict[str, Any] = {
        "action_id": uuid(action),
        "state": state,
        "action_map_id": MAP,
        "customer_id": CUSTOMER,
        "session_id": uuid("s"),
        "occurred_at": None if at is None else minute(at),
    }
    return Signal(**(usual | fields))


def native_signal(state: str, action: str = "a", at: float | None = 0, **fields: Any) -> NativeSignal:
    """The same report, as the rules of the lifecycle use it."""
    return to_native(signal(state, action, at, **fields))


@dataclass(frozen=True)
class Given:
    """A visitor-offer with a past, and the service's clock and rules."""

    offer: VisitorOffer
    now: datetime
    rules: Rules = RULES

    def at(self, number: float) -> "Given":
        """With the service's clock so many minutes from the start."""
        return replace(self, now=minute(number))

    def under(self, **periods: timedelta) -> "Given":
        """With other periods than the default ones."""
        return replace(self, rules=replace(self.rules, **periods))

    def when(self, coming: Signal, *, remember: bool = True) -> "Then":
        """A signal comes."""
        return Then(
            self, decide(self.offer, to_native(coming), lambda: RAW, self._context, remember=remember)
        )

    def when_time_passes(self) -> "Then":
        """Nothing comes; the service looks at what is due."""
        return Then(self, expire(self.offer, self._context))

    def blocker(self, at: float, *, dated: bool = False) -> Blocker | None:
        """What is answered to somebody who asks whether an offer may be made at that minute."""
        return find_blocker(self.offer, minute(at), self.rules, dated=dated)

    @property
    def _context(self) -> DecisionContext:
        return DecisionContext(ORGANIZATION, self.now, self.rules)


@dataclass(frozen=True)
class Then:
    """What was decided."""

    before: Given
    decision: Decision

    def then(self, outcome: str | None, *events: BriefEvent) -> "Then":
        """Exactly this outcome (`refused: <reason>`), exactly these events."""
        kind, reason = self.decision.outcome, self.decision.reason
        outcome_words = None if kind is None else f"{kind}: {reason}" if reason else str(kind)
        assert outcome_words == outcome
        expected = facts_of(self.before.offer, events, self.before.now)
        assert list(self.decision.events) == expected
        assert self.decision.offer == fold(expected, self.before.offer)
        return self

    def ending(self, *parked: str) -> "Then":
        """These parked signals end unrecorded, each written `action state: reason`."""
        names = {native(letter): letter for letter in "abcdefgh"}
        assert [
            f"{names[one.private.action_id]} {one.event.parked_state}: {reason}"
            for one, reason in self.decision.ended_parkings
        ] == [*parked]
        return self

    def blocked_by(self, expected: Blocker | None) -> "Then":
        """This stands against the offer."""
        assert self.decision.blocker == expected
        return self

    def and_then(self) -> Given:
        """The visitor-offer as the decision left it."""
        return replace(self.before, offer=self.decision.offer)


def one_of_each() -> Sequence[BriefEvent]:
    """A stream that holds every kind of event: an action for each way to end, two signals that wait."""
    ends = ("errored", "timedout", "ignored", "abandoned", "engaged")
    actions = [
        event(state, letter) for letter, end in zip("abcde", ends, strict=True) for state in ("offered", end)
    ]
    answered = [event("offered", "f"), event("accepted", "f"), event("started", "f"), parked("engaged", "f")]
    rejected = [event("offered", "g"), event("rejected", "g", stage=Stage.INVITATION)]
    over = [ended("engaged", "f"), refused("h", 0, "terminal_state", "g", "rejected", 0)]
    withheld = ("qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached")
    before = [event(state, one) for state, one in zip(("qualified", *withheld), "ijki", strict=True)]
    return [*actions, *answered, *rejected, *over, *before]


def given(*events: BriefEvent) -> Given:
    """A visitor-offer with that past; each event was recorded when it occurred, unless it says otherwise."""
    empty = VisitorOffer(STREAM)
    past = facts_of(empty, events, None)
    return Given(fold(past, empty), max((one.event.recorded_at for one in past), default=START))


def facts_of(
    offer: VisitorOffer, events: Sequence[BriefEvent], now: datetime | None
) -> list[RecordedEvent[Event]]:
    """The events in full, as they continue a stream."""
    made: list[RecordedEvent[Event]] = []
    for brief in events:
        made.append(_fact(offer, brief, brief.recorded or now or brief.at))
        offer = fold(made[-1:], offer)
    return made


def _fact(offer: VisitorOffer, brief: BriefEvent, recorded_at: datetime) -> RecordedEvent[Event]:
    fields = dict(brief.fields)
    private: dict[str, Any] = {
        "session_id": native("s"),
        "action_id": native(brief.action),
    }
    for name in PrivateFields.__struct_fields__:
        if name in fields:
            value = fields.pop(name)
            private[name] = UUID(value) if name.endswith("_id") and isinstance(value, str) else value
    if brief.kind == "signal-parked":
        private["raw"] = RAW
    event = _event(offer, brief, recorded_at, fields)
    return RecordedEvent(STREAM, offer.version + 1, event, PrivateFields(**private))


def _event(offer: VisitorOffer, brief: BriefEvent, recorded_at: datetime, fields: dict[str, Any]) -> Event:
    """The public fields, with the places of the parked signals that the event ends."""
    common: dict[str, Any] = {
        "organization": ORGANIZATION,
        "action_map_id": MAP_ID,
        "recorded_at": recorded_at,
    }
    action = native(brief.action)
    waiting = {one.event.parked_state: one.originator_version for one in offer.find_parked(action)}
    if brief.kind == "parking-ended":
        return ParkingEnded(**common, parked_version=waiting.get(fields["parked_state"]), **fields)
    common |= {"media_type": "webchat", "occurred_at": brief.at} | fields
    if brief.kind == "offer-refused":
        return OfferRefused(**common, parked_versions=tuple(sorted(waiting.values())))
    if brief.kind == "signal-parked":
        return SignalParked(**common)
    begun = offer.find_action(action)
    if begun is not None and not begun.is_offered:
        begun = None
    common |= {
        "action_number": offer.action_count + 1 if begun is None else begun.offered.action_number,
        "offered_at": brief.at if begun is None else begun.offered.occurred_at,
        "parked_version": waiting.get(State(brief.kind)),
    }
    if (stage := common.pop("stage", None)) is not None:
        common["rejected_stage"] = stage
    return LIFECYCLE_EVENTS[State(brief.kind)](**common)
