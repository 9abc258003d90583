"""The aggregate: what the facts of one visitor x one action map add up to.

`evolve` takes one fact in, `fold` a whole stream; both are pure and know no clock. What may happen
next is decided in `decision`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from offerlog_domain.events import LifecycleEvent, Offered, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.facts import Fact, Report
from offerlog_domain.lifecycle import LIFECYCLES, Lifecycle, Stage, State


class Action(NamedTuple):
    """One invitation and everything that became of it; never without its `Offered`."""

    events: tuple[LifecycleEvent, ...]

    @property
    def id(self) -> str:
        """The vendor's `actionId`."""
        return self.events[0].action_id

    @property
    def state(self) -> State:
        """The state that the action is in."""
        return self.events[-1].state

    @property
    def stage(self) -> Stage | None:
        """Where it was turned down, if it was."""
        return self.events[-1].stage

    @property
    def since(self) -> datetime:
        """When it reached its state: `occurred_at` of its last event by version, not by time."""
        return self.events[-1].occurred_at

    @property
    def lifecycle(self) -> Lifecycle:
        """The table that this action follows."""
        return LIFECYCLES[self.events[0].media_type]

    @property
    def withdrawn_at(self) -> datetime | None:
        """When the invitation times out; None where no time-out is known or it is answered."""
        seconds = self.events[0].timeout_seconds
        if seconds is None or self.state is not State.OFFERED:
            return None
        return self.events[0].occurred_at + timedelta(seconds=seconds)


class VisitorOffer(NamedTuple):
    """Everything known of one visitor and one action map.

    Attributes:
        id: The stream.
        version: How many facts the stream holds.
        actions: Every invitation, in the order they began.
        parked: Signals that wait for their action, in order of arrival.
        refused_offers: Offers refused and remembered.
    """

    id: UUID
    version: int = 0
    actions: tuple[Action, ...] = ()
    parked: tuple[SignalParked, ...] = ()
    refused_offers: tuple[OfferRefused, ...] = ()

    @property
    def newest(self) -> Action | None:
        """The action that began last; only it can still move."""
        return self.actions[-1] if self.actions else None

    @property
    def lifecycle_version(self) -> int:
        """How many lifecycle events there are; the version that people see."""
        return sum(len(action.events) for action in self.actions)

    def action(self, action_id: str) -> Action | None:
        """The action of that id, None while its `offered` has not been recorded."""
        for action in reversed(self.actions):
            if action.id == action_id:
                return action
        return None

    def has(self, action_id: str, state: str) -> bool:
        """Whether that action has reached that state, or has it parked."""
        action = self.action(action_id)
        if action is not None:
            for event in action.events:
                if event.state == state:
                    return True
        return any(p.action_id == action_id and p.parked_state == state for p in self.parked)

    def refused_offer(self, action_id: str) -> OfferRefused | None:
        """The remembered refusal of that action's offer."""
        for refused in self.refused_offers:
            if refused.action_id == action_id:
                return refused
        return None

    def parked_of(self, action_id: str) -> tuple[SignalParked, ...]:
        """What waits for that action, in order of arrival."""
        return tuple(parked for parked in self.parked if parked.action_id == action_id)

    def report(self, event_id: str) -> Report | None:
        """The recorded, parked or refused report that came under that event id."""
        for action in self.actions:
            for event in action.events:
                if event.event_id == event_id:
                    return event
        for waiting in self.parked:
            if waiting.event_id == event_id:
                return waiting
        for refused in self.refused_offers:
            if refused.event_id == event_id:
                return refused
        return None


def evolve(offer: VisitorOffer, fact: Fact) -> VisitorOffer:
    """The visitor-offer after one more fact.

    Raises:
        ValueError: The fact does not come next in this stream, or moves an action that cannot move.
        TypeError: The fact is of a kind that this code does not know.
    """
    if fact.originator_version != offer.version + 1:
        raise ValueError(f"fact {fact.originator_version} does not follow version {offer.version}")
    return _step(type(fact))(offer, fact)  # type: ignore[arg-type] # mypy takes the hash of its instances for its own


def fold(facts: Iterable[Fact], offer: VisitorOffer) -> VisitorOffer:
    """The visitor-offer after all `facts`, in stream order."""
    for fact in facts:
        offer = evolve(offer, fact)
    return offer


def _begin(offer: VisitorOffer, fact: Offered) -> VisitorOffer:
    return offer._replace(version=fact.originator_version, actions=(*offer.actions, Action((fact,))))


def _move(offer: VisitorOffer, fact: LifecycleEvent) -> VisitorOffer:
    newest = offer.newest  # nothing else can move, and a stream may hold very many
    if newest is None or newest.id != fact.action_id:
        raise ValueError(f"fact {fact.originator_version} moves an action that is not the newest")
    actions = (*offer.actions[:-1], Action((*newest.events, fact)))
    parked = _without(offer.parked, fact.action_id, fact.state)
    return VisitorOffer(offer.id, fact.originator_version, actions, parked, offer.refused_offers)


def _park(offer: VisitorOffer, fact: SignalParked) -> VisitorOffer:
    return offer._replace(version=fact.originator_version, parked=(*offer.parked, fact))


def _end_parking(offer: VisitorOffer, fact: ParkingEnded) -> VisitorOffer:
    parked = _without(offer.parked, fact.action_id, fact.parked_state)
    return offer._replace(version=fact.originator_version, parked=parked)


def _refuse(offer: VisitorOffer, fact: OfferRefused) -> VisitorOffer:
    return offer._replace(
        version=fact.originator_version,
        parked=tuple(parked for parked in offer.parked if parked.action_id != fact.action_id),
        refused_offers=(*offer.refused_offers, fact),
    )


_STEPS: Final[Mapping[type[Fact], Callable[[VisitorOffer, Any], VisitorOffer]]] = {
    Offered: _begin,
    LifecycleEvent: _move,
    SignalParked: _park,
    ParkingEnded: _end_parking,
    OfferRefused: _refuse,
}


@cache
def _step(fact: type[Any]) -> Callable[[VisitorOffer, Any], VisitorOffer]:
    """How a kind of fact changes a visitor-offer."""
    for kind in fact.__mro__:
        if kind in _STEPS:
            return _STEPS[kind]
    raise TypeError(f"a visitor-offer knows no {fact.__name__}")


def _without(parked: tuple[SignalParked, ...], action_id: str, state: State) -> tuple[SignalParked, ...]:
    """What still waits; a state waits at most once for its action, and the oldest usually goes first."""
    for n, waiting in enumerate(parked):
        if waiting.action_id == action_id and waiting.parked_state is state:
            return parked[:n] + parked[n + 1 :]
    return parked
