"""Current state: the state of every visitor-offer and of every action, and the parked signals."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.event_fields import PrivateFields
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import Stage, State


class OfferRow(NamedTuple):
    """The newest action of a visitor-offer, and the number of events that the page added.

    `deadline_at` is the time from which the service may record a time-out, before the grace (domain rule
    "Deadline", case a): it counts from the later of `occurred_at` and `recorded_at`. It is None for an action
    that is answered or has no time-out.
    """

    organization: str
    visitor: VisitorKey
    action_map_id: UUID
    action_id: UUID
    state: State
    stage: Stage | None
    since: datetime
    actions: int
    events_added: int
    deadline_at: datetime | None


class ActionRow(NamedTuple):
    """The state of one action."""

    number: int
    state: State
    stage: Stage | None
    since: datetime
    offered_at: datetime


class ParkedRow(NamedTuple):
    """A signal that waits for its action."""

    organization: str
    parked_at: datetime
    position: int
    raw: bytes
    raw_length: int | None = None


ParkedKey = tuple[UUID, UUID, State]
"""Stream, action and state."""


@dataclass(frozen=True, slots=True)
class CurrentStateChange:
    """The rows that a page changes. A row replaces the row of the same key.

    Attributes:
        offers: Visitor-offers.
        actions: Actions.
        refused_actions: Actions for which no signal waits any more.
        over: Keys whose signal does not wait any more, if one ever did.
        parked: Signals that wait now. They come after those that are over.
    """

    offers: Mapping[UUID, OfferRow] = field(default_factory=dict)
    actions: Mapping[tuple[UUID, UUID], ActionRow] = field(default_factory=dict)
    refused_actions: Collection[tuple[UUID, UUID]] = ()
    over: Collection[ParkedKey] = ()
    parked: Mapping[ParkedKey, ParkedRow] = field(default_factory=dict)


def current_state(page: Page) -> CurrentStateChange:
    """Return the change that a page makes."""
    # Found by ints, which costs a fraction of finding UUIDs; each with the number of events.
    newest: dict[int, tuple[UUID, LifecycleEvent, PrivateFields, int]] = {}
    actions: dict[tuple[int, int], tuple[UUID, UUID, LifecycleEvent]] = {}
    refused: set[tuple[UUID, UUID]] = set()
    over: list[ParkedKey] = []
    parked: dict[ParkedKey, ParkedRow] = {}
    for position, recorded in page.events:
        stream, event, private = recorded.originator_id, recorded.event, recorded.private
        action = private.action_id
        match event:
            case LifecycleEvent():
                number = stream.int
                before = newest.get(number)
                newest[number] = stream, event, private, 1 if before is None else before[3] + 1
                actions[number, action.int] = stream, action, event
                over.append((stream, action, event.state))
            case SignalParked():
                parked[stream, action, event.parked_state] = ParkedRow(
                    event.organization,
                    event.recorded_at,
                    position,
                    private.raw or b"",
                    event.raw_length,
                )
                continue
            case ParkingEnded():
                over.append((stream, action, event.parked_state))
            case OfferRefused():
                refused.add((stream, action))
                for key in [key for key in parked if key[:2] == (stream, action)]:
                    del parked[key]
                continue
            case _:
                raise TypeError(f"current state does not know the event {type(event).__name__}")
        if parked:
            parked.pop(over[-1], None)
    return CurrentStateChange(
        {stream: _offer_row(event, private, added) for stream, event, private, added in newest.values()},
        {(stream, action): _action_row(event) for stream, action, event in actions.values()},
        refused,
        over,
        parked,
    )


def _offer_row(event: LifecycleEvent, private: PrivateFields, added: int) -> OfferRow:
    return OfferRow(
        event.organization,
        private.visitor,
        event.action_map_id,
        private.action_id,
        event.state,
        event.stage,
        event.occurred_at,
        event.action_number,
        added,
        deadline_of(event),
    )


def _action_row(event: LifecycleEvent) -> ActionRow:
    return ActionRow(event.action_number, event.state, event.stage, event.occurred_at, event.offered_at)


def deadline_of(event: LifecycleEvent) -> datetime | None:
    """Return the `deadline_at` of a visitor-offer whose last event this is; None where nothing times out."""
    if event.state is not State.OFFERED or event.timeout_seconds is None:
        return None
    return max(event.occurred_at, event.recorded_at) + timedelta(seconds=event.timeout_seconds)
