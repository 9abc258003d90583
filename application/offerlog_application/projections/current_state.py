"""Current state: the state of every visitor-offer and of every action, and the parked signals."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.stream_ids import token_of


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


class ActionRow(NamedTuple):
    """The state of one action."""

    state: State
    stage: Stage | None
    since: datetime
    offered_at: datetime


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
    """

    offers: Mapping[UUID, OfferRow] = field(default_factory=dict)
    actions: Mapping[ActionKey, ActionRow] = field(default_factory=dict)
    over: Collection[ParkedPlace] = ()
    parked: Mapping[ParkedPlace, ParkedRow] = field(default_factory=dict)


def current_state(page: Page) -> CurrentStateChange:
    """Return the change that a page makes."""
    # Found by ints, which costs a fraction of finding UUIDs; each with the number of events.
    newest: dict[int, tuple[UUID, LifecycleEvent, int]] = {}
    actions: dict[tuple[int, int], tuple[UUID, LifecycleEvent]] = {}
    over: list[ParkedPlace] = []
    parked: dict[ParkedPlace, ParkedRow] = {}
    for position, sealed in page.events:
        stream, event = sealed.originator_id, sealed.event
        match event:
            case LifecycleEvent():
                number = stream.int
                before = newest.get(number)
                newest[number] = stream, event, 1 if before is None else before[2] + 1
                actions[number, event.action_number] = stream, event
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
            case ParkingEnded():
                if event.parked_version is not None:
                    over.append((stream, event.parked_version))
            case OfferRefused():
                over += [(stream, version) for version in event.parked_versions]
            case _:
                raise TypeError(f"current state does not know the event {type(event).__name__}")
    if parked:
        for place in over:
            parked.pop(place, None)
    return CurrentStateChange(
        {stream: _offer_row(stream, event, added) for stream, event, added in newest.values()},
        {(stream, event.action_number): _action_row(event) for stream, event in actions.values()},
        over,
        parked,
    )


def _offer_row(stream: UUID, event: LifecycleEvent, added: int) -> OfferRow:
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
    )


def _action_row(event: LifecycleEvent) -> ActionRow:
    return ActionRow(event.state, event.stage, event.occurred_at, event.offered_at)


def deadline_of(event: LifecycleEvent) -> datetime | None:
    """Return the `deadline_at` of a visitor-offer whose last event this is; None where nothing times out."""
    if event.state is not State.OFFERED or event.timeout_seconds is None:
        return None
    return max(event.occurred_at, event.recorded_at) + timedelta(seconds=event.timeout_seconds)
