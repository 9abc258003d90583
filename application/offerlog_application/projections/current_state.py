"""Current state: the state of every visitor-offer and of every offered action, and the parked signals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import (
    EventBeforeOffer,
    EventSinceOffer,
    LifecycleEvent,
    OfferRefused,
    ParkingEnded,
    SignalParked,
)
from offerlog_domain.lifecycle import LIFECYCLES, WEBCHAT, Stage, State
from offerlog_domain.service_events import ServiceEvent, VisitorErased
from offerlog_domain.stream_ids import token_of

_STEPS: Final = frozenset({State.ACCEPTED, State.STARTED})
"""The states of which an action keeps the time, beside its offer and its newest state."""


class OfferRow(NamedTuple):
    """The newest action of a visitor-offer, and the number of events that the page added.

    Attributes:
        organization: The tenant.
        visitor: The visitor's token (see `stream_ids`).
        action_map_id: The action map.
        state: The state of the newest action.
        stage: The stage of a rejection.
        since: The time of that state.
        actions: Number of actions that have begun; the number of the newest one.
        events_added: Number of lifecycle events of the page.
        deadline_at: The time from which the service may record a time-out, before the grace (domain rule
            "Deadline", case a): it counts from the later of `occurred_at` and `recorded_at`. None for an
            action that is answered or has no time-out.
        touched_at: The latest `occurred_at` or `recorded_at` of the newest action's events on the page, from
            which its silence is counted (domain rule "Lapse"); None for an action that is over.
    """

    organization: str
    visitor: int
    action_map_id: UUID
    state: State
    stage: Stage | None
    since: datetime
    actions: int
    events_added: int
    deadline_at: datetime | None
    touched_at: datetime | None = None


class ActionRow(NamedTuple):
    """The state of one action, and when it reached the states on the way there.

    Attributes:
        organization: The tenant.
        action_map_id: The action map.
        state: The state.
        stage: The stage of a rejection.
        since: The time of that state.
        offered_at: The time of its offer.
        accepted_at: The time at which it was accepted, if the page says so.
        started_at: The time at which the chat started, if the page says so.
        media_type: The vendor's `actionMediaType`.
        action_map_version: The map's version, as the newest event says; None where it names none.
    """

    organization: str
    action_map_id: UUID
    state: State
    stage: Stage | None
    since: datetime
    offered_at: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    media_type: str = WEBCHAT.media_type
    action_map_version: int | None = None


class ParkedRow(NamedTuple):
    """A signal that waits for its action.

    Attributes:
        organization: The tenant.
        visitor: The visitor's token.
        action_map_id: The action map.
        parked_at: The time of its parking, by the service's clock.
        position: The position of its event in the log.
        sealed: The private fields of its event, the text among them. A read opens them.
        raw_length: Bytes of the received text if the kept text is cut.
    """

    organization: str
    visitor: int
    action_map_id: UUID
    parked_at: datetime
    position: int
    sealed: bytes
    raw_length: int | None = None


_Newest = tuple[UUID, LifecycleEvent, int, datetime | None]
"""Stream, its newest event on the page, the number of its events there, and the latest time of the events of
the same action before it; None where there is none."""

ActionKey = tuple[UUID, int]
"""Stream, and number of the action within its visitor-offer."""

ParkedPlace = tuple[UUID, int]
"""Stream, and place in it of the event that parked the signal."""


@dataclass(frozen=True, slots=True)
class CurrentStateChange:
    """The rows that a page changes. A row replaces the row of the same key.

    Attributes:
        offers: Visitor-offers.
        actions: Actions.
        over: Places of signals that do not wait any more.
        parked: Signals that wait now.
        erased: Tokens of visitors who were erased. All rows of theirs go.
    """

    offers: Mapping[UUID, OfferRow] = field(default_factory=dict)
    actions: Mapping[ActionKey, ActionRow] = field(default_factory=dict)
    over: Collection[ParkedPlace] = ()
    parked: Mapping[ParkedPlace, ParkedRow] = field(default_factory=dict)
    erased: Collection[int] = frozenset()


def current_state(page: Page) -> CurrentStateChange:
    """Return the change that a page makes."""
    # Found by ints, which costs a fraction of finding UUIDs.
    newest: dict[int, _Newest] = {}
    actions: dict[tuple[int, int], tuple[UUID, LifecycleEvent]] = {}
    accepted: dict[tuple[int, int], datetime] = {}
    started: dict[tuple[int, int], datetime] = {}
    over: list[ParkedPlace] = []
    parked: dict[ParkedPlace, ParkedRow] = {}
    entries: list[SealedEvent[Event]] = []
    for position, sealed in page.events:
        stream, event = sealed.originator_id, sealed.event
        match event:
            case EventSinceOffer():
                number = stream.int
                before = newest.get(number)
                newest[number] = (stream, event, 1, None) if before is None else _follow(before, event)
                action = number, event.action_number
                actions[action] = stream, event
                reached = accepted if event.state is State.ACCEPTED else started
                if event.state in _STEPS:
                    reached[action] = event.occurred_at
                if event.parked_version is not None:
                    over.append((stream, event.parked_version))
            case SignalParked():
                parked[stream, sealed.originator_version] = ParkedRow(
                    event.organization,
                    token_of(stream),
                    event.action_map_id,
                    event.recorded_at,
                    position,
                    sealed.sealed,
                    event.raw_length,
                )
            case ParkingEnded() | EventBeforeOffer():  # before the offer, no row is there
                if event.parked_version is not None:
                    over.append((stream, event.parked_version))
            case OfferRefused():
                over += [(stream, version) for version in event.parked_versions]
            case ServiceEvent():
                entries.append(sealed)
            case _:
                raise TypeError(f"current state does not know the event {type(event).__name__}")
    change = CurrentStateChange(
        {one[0]: _offer_row(*one) for one in newest.values()},
        {
            (stream, event.action_number): ActionRow(
                event.organization,
                event.action_map_id,
                event.state,
                event.stage,
                event.occurred_at,
                event.offered_at,
                accepted.get(action),
                started.get(action),
                event.media_type,
                event.action_map_version,
            )
            for action, (stream, event) in actions.items()
        },
        over,
        _without_ended(parked, over),
    )
    return _without_erased(change, entries) if entries else change


def _follow(before: _Newest, event: LifecycleEvent) -> _Newest:
    """Return the newest event of a visitor-offer, with the latest time of the action's events before it."""
    stream, earlier, added, touched = before
    if earlier.action_number != event.action_number:
        return stream, event, added + 1, None
    return stream, event, added + 1, _latest(earlier, touched)


def _latest(event: LifecycleEvent, touched: datetime | None) -> datetime:
    """Return the latest time of an event, and of those before it."""
    latest = max(event.recorded_at, event.occurred_at)
    return latest if touched is None or touched < latest else touched


def _without_ended(
    parked: dict[ParkedPlace, ParkedRow], over: Collection[ParkedPlace]
) -> Mapping[ParkedPlace, ParkedRow]:
    if parked:
        for place in over:
            parked.pop(place, None)
    return parked


def _without_erased(change: CurrentStateChange, entries: Sequence[SealedEvent[Event]]) -> CurrentStateChange:
    """Leave out the rows of visitors who were erased.

    No event of a visitor comes after `VisitorErased`. So the order of events on the page does not matter: a
    rebuild reads stream by stream.
    """
    erased = {token_of(one.originator_id) for one in entries if isinstance(one.event, VisitorErased)}
    return CurrentStateChange(
        {stream: row for stream, row in change.offers.items() if token_of(stream) not in erased},
        {key: row for key, row in change.actions.items() if token_of(key[0]) not in erased},
        change.over,
        {place: row for place, row in change.parked.items() if row.visitor not in erased},
        erased,
    )


def _offer_row(stream: UUID, event: LifecycleEvent, added: int, touched: datetime | None) -> OfferRow:
    return OfferRow(
        event.organization,
        token_of(stream),
        event.action_map_id,
        event.state,
        event.stage,
        event.occurred_at,
        event.action_number,
        added,
        deadline_of(event),
        None if LIFECYCLES[event.media_type].is_final(event.state) else _latest(event, touched),
    )


def deadline_of(event: LifecycleEvent) -> datetime | None:
    """Return the `deadline_at` of a visitor-offer whose last event this is; None where nothing times out."""
    if event.timeout_seconds is None or event.state is not State.OFFERED:
        return None
    if not LIFECYCLES[event.media_type].has_timeout:
        return None
    return max(event.occurred_at, event.recorded_at) + timedelta(seconds=event.timeout_seconds)
