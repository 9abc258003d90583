"""The aggregate: the state that the events of one visitor x one action map add up to.

`evolve` takes in one event, `fold` a whole stream. Both are pure and know no clock. Both cost the same
however long the stream is: what a decision asks is found by key. The decision itself is in `decision`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from offerlog_domain.event_fields import Event, SignalEvent
from offerlog_domain.events import LifecycleEvent, Offered, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import LIFECYCLES, Lifecycle, Stage, State
from offerlog_domain.persistent_map import PersistentMap


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

    def has(self, state: str) -> bool:
        """Whether the action has reached that state."""
        return any(event.state == state for event in self.events)


ParkedKey = tuple[str, str]
"""Action id and state: a state waits at most once for its action."""


class VisitorOffer(NamedTuple):
    """Everything known of one visitor and one action map.

    Attributes:
        id: The stream.
        version: How many events the stream holds.
        newest: The action that began last; only it can still move.
        past: The actions before it, by action id.
        waiting: Parked signals, by action id and state.
        refused: Offers refused and remembered, by action id.
        reports: Reports that came with an event id, by that id, except those of the newest action.
        parked_since: No signal that waits was parked before this moment; None where none waits.
    """

    id: UUID
    version: int = 0
    newest: Action | None = None
    past: PersistentMap[str, Action] = PersistentMap()
    waiting: PersistentMap[ParkedKey, SignalParked] = PersistentMap()
    refused: PersistentMap[str, OfferRefused] = PersistentMap()
    reports: PersistentMap[str, SignalEvent] = PersistentMap()
    parked_since: datetime | None = None

    @property
    def begun(self) -> int:
        """How many actions have begun."""
        return len(self.past) + (self.newest is not None)

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action, in the order they began; takes as long as there are many."""
        past = sorted(self.past.values(), key=lambda action: action.events[0].originator_version)
        return (*past, self.newest) if self.newest is not None else tuple(past)

    @property
    def parked(self) -> tuple[SignalParked, ...]:
        """Signals that wait for their action, in order of arrival; takes as long as there are many."""
        return tuple(sorted(self.waiting.values(), key=_version))

    @property
    def refused_offers(self) -> tuple[OfferRefused, ...]:
        """Offers refused and remembered, in order; takes as long as there are many."""
        return tuple(sorted(self.refused.values(), key=_version))

    @property
    def lifecycle_version(self) -> int:
        """How many lifecycle events there are; the version that people see."""
        return sum(len(action.events) for action in self.actions)

    def action(self, action_id: str) -> Action | None:
        """The action of that id, None while its `offered` has not been recorded."""
        newest = self.newest
        return newest if newest is not None and newest.id == action_id else self.past.get(action_id)

    def has(self, action_id: str, state: str) -> bool:
        """Whether that action has reached that state, or has it parked."""
        action = self.action(action_id)
        reached = action is not None and action.has(state)
        return reached or (bool(self.waiting) and self.waiting.get((action_id, state)) is not None)

    def refused_offer(self, action_id: str) -> OfferRefused | None:
        """The remembered refusal of that action's offer."""
        return self.refused.get(action_id)

    def parked_of(self, action_id: str) -> tuple[SignalParked, ...]:
        """The signals that wait for that action, in order of arrival."""
        if not self.waiting:
            return ()
        found = (self.waiting.get((action_id, state)) for state in State)
        return tuple(sorted((parked for parked in found if parked is not None), key=_version))

    def report(self, event_id: str) -> SignalEvent | None:
        """The recorded, parked or refused report that came under that event id."""
        if self.newest is not None:
            for event in self.newest.events:
                if event.event_id == event_id:
                    return event
        return self.reports.get(event_id)


def evolve(offer: VisitorOffer, event: Event) -> VisitorOffer:
    """The visitor-offer after one more event.

    Raises:
        ValueError: The event does not come next in this stream, or moves an action that cannot move.
        TypeError: The event is of a kind that this code does not know.
    """
    if event.originator_version != offer.version + 1:
        raise ValueError(f"fact {event.originator_version} does not follow version {offer.version}")
    return _step(type(event))(offer, event)  # type: ignore[arg-type] # mypy takes the hash of its instances for its own


def fold(events: Iterable[Event], offer: VisitorOffer) -> VisitorOffer:
    """The visitor-offer after all `events`, in stream order."""
    for event in events:
        offer = evolve(offer, event)
    return offer


def _begin(offer: VisitorOffer, event: Offered) -> VisitorOffer:
    begun, before = Action((event,)), offer.newest
    if before is None:
        return offer._replace(version=event.originator_version, newest=begun)
    reported = {event.event_id: event for event in before.events if event.event_id is not None}
    return offer._replace(
        version=event.originator_version,
        newest=begun,
        past=offer.past.with_entry(before.id, before),
        reports=offer.reports.with_entries(reported),
    )


def _move(offer: VisitorOffer, event: LifecycleEvent) -> VisitorOffer:
    newest = offer.newest
    if newest is None or newest.id != event.action_id:
        raise ValueError(f"fact {event.originator_version} moves an action that is not the newest")
    moved = offer._replace(version=event.originator_version, newest=Action((*newest.events, event)))
    return _unpark(moved, event.action_id, event.state)


def _park(offer: VisitorOffer, event: SignalParked) -> VisitorOffer:
    since = offer.parked_since
    return offer._replace(
        version=event.originator_version,
        waiting=offer.waiting.with_entry((event.action_id, event.parked_state), event),
        reports=_reported(offer.reports, event),
        parked_since=event.recorded_at if since is None else min(since, event.recorded_at),
    )


def _end_parking(offer: VisitorOffer, event: ParkingEnded) -> VisitorOffer:
    ended = offer._replace(version=event.originator_version)
    return _unpark(ended, event.action_id, event.parked_state)


def _refuse(offer: VisitorOffer, event: OfferRefused) -> VisitorOffer:
    waiting = offer.parked_of(event.action_id)
    refused = offer._replace(
        version=event.originator_version,
        refused=offer.refused.with_entry(event.action_id, event),
        reports=_reported(offer.reports, event),
    )
    for parked in waiting:
        refused = _unpark(refused, parked.action_id, parked.parked_state)
    return refused


def _unpark(offer: VisitorOffer, action_id: str, state: State) -> VisitorOffer:
    """Without the signal that waits for that action in that state, if one does."""
    key = action_id, state
    parked = offer.waiting.get(key) if offer.waiting else None
    if parked is None:
        return offer
    waiting, reports = offer.waiting.without(key), offer.reports
    if parked.event_id is not None and reports.get(parked.event_id) is parked:
        reports = reports.without(parked.event_id)
    since = offer.parked_since if waiting else None
    return offer._replace(waiting=waiting, reports=reports, parked_since=since)


def _reported(
    reports: PersistentMap[str, SignalEvent], report: SignalEvent
) -> PersistentMap[str, SignalEvent]:
    return reports if report.event_id is None else reports.with_entry(report.event_id, report)


def _version(event: Event) -> int:
    return event.originator_version


_STEPS: Final[Mapping[type[Event], Callable[[VisitorOffer, Any], VisitorOffer]]] = {
    Offered: _begin,
    LifecycleEvent: _move,
    SignalParked: _park,
    ParkingEnded: _end_parking,
    OfferRefused: _refuse,
}


@cache
def _step(event: type[Any]) -> Callable[[VisitorOffer, Any], VisitorOffer]:
    """The function that takes in this kind of event."""
    for kind in event.__mro__:
        if kind in _STEPS:
            return _STEPS[kind]
    raise TypeError(f"a visitor-offer knows no {event.__name__}")
