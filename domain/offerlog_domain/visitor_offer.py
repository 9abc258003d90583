"""The aggregate: the state of one visitor x one action map after its events.

`evolve` applies one event, `fold` a whole stream. Both are pure and do not read a clock. The cost of one
event does not grow with the stream: all that a decision asks for is found by key. `decision` decides.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from offerlog_domain.event_fields import Event, RecordedEvent, SignalEvent
from offerlog_domain.events import (
    EventBeforeOffer,
    EventSinceOffer,
    LifecycleEvent,
    Offered,
    OfferRefused,
    ParkingEnded,
    SignalParked,
)
from offerlog_domain.lifecycle import LIFECYCLES, Lifecycle, Stage, State
from offerlog_domain.persistent_map import PersistentMap


class Action(Struct, frozen=True, gc=False):
    """One invitation and all its lifecycle events. An event before its `Offered` may be the first."""

    events: tuple[RecordedEvent[LifecycleEvent], ...]

    @property
    def id(self) -> UUID:
        """The vendor's `actionId`."""
        return self.events[0].private.action_id

    @property
    def offer(self) -> RecordedEvent[LifecycleEvent]:
        """The event of its offer; of an action that is not offered, its first event."""
        first = self.events[0]
        if first.event.state is State.OFFERED or len(self.events) == 1:
            return first
        second = self.events[1]
        return second if second.event.state is State.OFFERED else first

    @property
    def offered(self) -> LifecycleEvent:
        """The public fields of `offer`."""
        return self.offer.event

    @property
    def is_offered(self) -> bool:
        """True once its offer was recorded."""
        return self.offered.state is State.OFFERED

    @property
    def state(self) -> State:
        """The state that the action is in."""
        return self.events[-1].event.state

    @property
    def stage(self) -> Stage | None:
        """The stage at which the visitor turned it down; None where the visitor did not."""
        return self.events[-1].event.stage

    @property
    def since(self) -> datetime:
        """The time of its state: `occurred_at` of its last event by version, not by time."""
        return self.events[-1].event.occurred_at

    @property
    def lifecycle(self) -> Lifecycle:
        """The table that this action follows."""
        return LIFECYCLES[self.events[0].event.media_type]

    @property
    def timeout_due_at(self) -> datetime | None:
        """The time at which the invitation times out; None where it is answered or has no time-out."""
        seconds = self.offered.timeout_seconds
        if seconds is None or self.state is not State.OFFERED or not self.lifecycle.has_timeout:
            return None
        return self.offered.occurred_at + timedelta(seconds=seconds)

    def has_reached(self, state: str) -> bool:
        """Return True if the action has reached that state."""
        return any(recorded.event.state == state for recorded in self.events)


Parked = RecordedEvent[SignalParked]
"""A parked signal in its stream."""

ParkedKey = tuple[UUID, str]
"""Action id and state: a state waits at most once for its action."""


class VisitorOffer(Struct, frozen=True, gc=False):
    """The state of one visitor and one action map.

    Attributes:
        id: The stream.
        version: Number of events that the stream holds.
        newest: The action that was offered last. Of the offered ones, only this one can still change.
        past_actions: The actions that were offered before it, by action id.
        not_offered: The actions that are not offered yet, or never, by action id.
        parked_by_key: Parked signals, by action id and state.
        refused_by_action: Offers that were refused and are remembered, by action id.
        events_by_id: Events of signals that had an event id, by that id, except those of the newest action.
        earliest_parked_at: No parked signal was parked before this time; None where no signal is parked.
    """

    id: UUID
    version: int = 0
    newest: Action | None = None
    past_actions: PersistentMap[UUID, Action] = PersistentMap()
    parked_by_key: PersistentMap[ParkedKey, Parked] = PersistentMap()
    refused_by_action: PersistentMap[UUID, RecordedEvent[OfferRefused]] = PersistentMap()
    events_by_id: PersistentMap[UUID, RecordedEvent[SignalEvent]] = PersistentMap()
    earliest_parked_at: datetime | None = None
    not_offered: PersistentMap[UUID, Action] = PersistentMap()

    @property
    def action_count(self) -> int:
        """Number of actions that were offered."""
        return len(self.past_actions) + (self.newest is not None)

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, in the order in which they began. The cost grows with their number."""
        newest = () if self.newest is None else (self.newest,)
        every = (*self.past_actions.values(), *newest, *self.not_offered.values())
        return tuple(sorted(every, key=lambda action: action.events[0].originator_version))

    @property
    def parked_signals(self) -> tuple[Parked, ...]:
        """Signals that wait for their action, in order of arrival. The cost grows with their number."""
        return tuple(sorted(self.parked_by_key.values(), key=_version))

    @property
    def refused_offers(self) -> tuple[RecordedEvent[OfferRefused], ...]:
        """Offers that were refused and are remembered, in order. The cost grows with their number."""
        return tuple(sorted(self.refused_by_action.values(), key=_version))

    @property
    def lifecycle_version(self) -> int:
        """Number of lifecycle events; the version that people see."""
        return sum(len(action.events) for action in self.actions)

    def find_action(self, action_id: UUID) -> Action | None:
        """Return the action of that id; None while it has not begun."""
        newest = self.newest
        if newest is not None and newest.id == action_id:
            return newest
        found = self.past_actions.get(action_id)
        return self.not_offered.get(action_id) if found is None and self.not_offered else found

    def is_open(self, action_id: UUID) -> bool:
        """Return True if that action is the newest one that was offered, and is not final."""
        newest = self.newest
        return newest is not None and newest.id == action_id and not newest.lifecycle.is_final(newest.state)

    def has_state(self, action_id: UUID, state: str) -> bool:
        """Return True if that action has reached that state, or a signal with that state is parked for it."""
        action = self.find_action(action_id)
        reached = action is not None and action.has_reached(state)
        return reached or (
            bool(self.parked_by_key) and self.parked_by_key.get((action_id, state)) is not None
        )

    def find_refused_offer(self, action_id: UUID) -> RecordedEvent[OfferRefused] | None:
        """Return the remembered refusal of that action's offer; None where there is none."""
        return self.refused_by_action.get(action_id)

    def find_parked(self, action_id: UUID) -> tuple[Parked, ...]:
        """Return the signals that wait for that action, in order of arrival."""
        if not self.parked_by_key:
            return ()
        found = (self.parked_by_key.get((action_id, state)) for state in State)
        return tuple(sorted((parked for parked in found if parked is not None), key=_version))

    def find_event(self, event_id: UUID) -> RecordedEvent[SignalEvent] | None:
        """Return the event whose signal had that event id; None where the id is new."""
        if self.newest is not None:
            for recorded in self.newest.events:
                if recorded.private.event_id == event_id:
                    return recorded
        return self.events_by_id.get(event_id)


def evolve(offer: VisitorOffer, recorded: RecordedEvent[Event]) -> VisitorOffer:
    """Return the visitor-offer after one more event.

    Raises:
        ValueError: The event does not come next in this stream, or belongs to an action that cannot change.
        TypeError: This code does not know the kind of the event.
    """
    if recorded.originator_version != offer.version + 1:
        raise ValueError(f"event {recorded.originator_version} does not follow version {offer.version}")
    return _step(type(recorded.event))(offer, recorded)


def fold(events: Iterable[RecordedEvent[Event]], offer: VisitorOffer) -> VisitorOffer:
    """Return the visitor-offer after all `events`, in stream order."""
    for recorded in events:
        offer = evolve(offer, recorded)
    return offer


def _begin(offer: VisitorOffer, recorded: RecordedEvent[Offered]) -> VisitorOffer:
    action, before = Action((recorded,)), offer.newest
    if offer.not_offered and (qualified := offer.not_offered.get(recorded.private.action_id)) is not None:
        action = Action((*qualified.events, recorded))
        offer = replace(offer, not_offered=offer.not_offered.without(qualified.id))
    if before is None:
        return replace(offer, version=recorded.originator_version, newest=action)
    events_by_id = {one.private.event_id: one for one in before.events if one.private.event_id is not None}
    return replace(
        offer,
        version=recorded.originator_version,
        newest=action,
        past_actions=offer.past_actions.with_entry(before.id, before),
        events_by_id=offer.events_by_id.with_entries(events_by_id),
    )


def _qualify(offer: VisitorOffer, recorded: RecordedEvent[LifecycleEvent]) -> VisitorOffer:
    action_id = recorded.private.action_id
    known = offer.not_offered.get(action_id)
    action = Action((recorded,) if known is None else (*known.events, recorded))
    qualified = replace(
        offer,
        version=recorded.originator_version,
        not_offered=offer.not_offered.with_entry(action_id, action),
        events_by_id=_with_event(offer.events_by_id, recorded),
    )
    return _unpark(qualified, action_id, recorded.event.state)


def _move(offer: VisitorOffer, recorded: RecordedEvent[LifecycleEvent]) -> VisitorOffer:
    newest, action_id = offer.newest, recorded.private.action_id
    if newest is None or newest.id != action_id:
        raise ValueError(f"event {recorded.originator_version} belongs to an action that is not the newest")
    moved = replace(offer, version=recorded.originator_version, newest=Action((*newest.events, recorded)))
    return _unpark(moved, action_id, recorded.event.state)


def _park(offer: VisitorOffer, recorded: Parked) -> VisitorOffer:
    earliest, parked_at = offer.earliest_parked_at, recorded.event.recorded_at
    key = recorded.private.action_id, recorded.event.parked_state
    return replace(
        offer,
        version=recorded.originator_version,
        parked_by_key=offer.parked_by_key.with_entry(key, recorded),
        events_by_id=_with_event(offer.events_by_id, recorded),
        earliest_parked_at=parked_at if earliest is None else min(earliest, parked_at),
    )


def _end_parking(offer: VisitorOffer, recorded: RecordedEvent[ParkingEnded]) -> VisitorOffer:
    ended = replace(offer, version=recorded.originator_version)
    return _unpark(ended, recorded.private.action_id, recorded.event.parked_state)


def _refuse(offer: VisitorOffer, recorded: RecordedEvent[OfferRefused]) -> VisitorOffer:
    action_id = recorded.private.action_id
    parked_signals = offer.find_parked(action_id)
    refused = replace(
        offer,
        version=recorded.originator_version,
        refused_by_action=offer.refused_by_action.with_entry(action_id, recorded),
        events_by_id=_with_event(offer.events_by_id, recorded),
    )
    for parked in parked_signals:
        refused = _unpark(refused, action_id, parked.event.parked_state)
    return refused


def _unpark(offer: VisitorOffer, action_id: UUID, state: State) -> VisitorOffer:
    """Remove the signal that waits for that action in that state, if one does."""
    key = action_id, state
    parked = offer.parked_by_key.get(key) if offer.parked_by_key else None
    if parked is None:
        return offer
    parked_by_key, events_by_id = offer.parked_by_key.without(key), offer.events_by_id
    event_id = parked.private.event_id
    if event_id is not None and events_by_id.get(event_id) is parked:
        events_by_id = events_by_id.without(event_id)
    earliest = offer.earliest_parked_at if parked_by_key else None
    return replace(offer, parked_by_key=parked_by_key, events_by_id=events_by_id, earliest_parked_at=earliest)


def _with_event(
    events_by_id: PersistentMap[UUID, RecordedEvent[SignalEvent]], recorded: RecordedEvent[SignalEvent]
) -> PersistentMap[UUID, RecordedEvent[SignalEvent]]:
    event_id = recorded.private.event_id
    return events_by_id if event_id is None else events_by_id.with_entry(event_id, recorded)


def _version(recorded: RecordedEvent[Event]) -> int:
    return recorded.originator_version


_STEPS: Final[Mapping[type[Event], Callable[[VisitorOffer, Any], VisitorOffer]]] = {
    Offered: _begin,
    EventBeforeOffer: _qualify,
    EventSinceOffer: _move,
    SignalParked: _park,
    ParkingEnded: _end_parking,
    OfferRefused: _refuse,
}


@cache
def _step(event: type[Any]) -> Callable[[VisitorOffer, Any], VisitorOffer]:
    """Return the function that applies this kind of event."""
    for kind in event.__mro__:
        if kind in _STEPS:
            return _STEPS[kind]
    raise TypeError(f"a visitor-offer does not know the event {event.__name__}")
