"""Current state: where every visitor-offer and every action stands, and what is parked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import Stage, State


class OfferRow(NamedTuple):
    """Where a visitor-offer stands: its newest action, and how many events this page added."""

    organization: str
    customer_id_type: bytes
    customer_id: bytes
    action_map_id: str
    action_id: str
    state: State
    stage: Stage | None
    since: datetime
    actions: int
    events_added: int
    withdrawn_at: datetime | None


class ActionRow(NamedTuple):
    """Where one action stands."""

    number: int
    state: State
    stage: Stage | None
    since: datetime
    offered_at: datetime


class ParkedRow(NamedTuple):
    """A signal that waits."""

    organization: str
    parked_at: datetime
    position: int
    raw: bytes
    raw_length: int | None = None


ParkedKey = tuple[UUID, str, State]
"""Stream, action and state."""


@dataclass(frozen=True, slots=True)
class CurrentStateChange:
    """What a page brings about; the rows are to be put in place, by key.

    Attributes:
        offers: Where visitor-offers stand.
        actions: Where actions stand.
        refused_actions: Those for which nothing waits any more.
        over: What waits no longer, if it ever did.
        parked: What waits now, whatever was over before.
    """

    offers: Mapping[UUID, OfferRow] = field(default_factory=dict)
    actions: Mapping[tuple[UUID, str], ActionRow] = field(default_factory=dict)
    refused_actions: Collection[tuple[UUID, str]] = ()
    over: Collection[ParkedKey] = ()
    parked: Mapping[ParkedKey, ParkedRow] = field(default_factory=dict)


def current_state(page: Page) -> CurrentStateChange:
    """The change that a page brings about."""
    newest: dict[UUID, tuple[LifecycleEvent, int]] = {}  # and how many there were
    actions: dict[tuple[UUID, str], LifecycleEvent] = {}
    refused: set[tuple[UUID, str]] = set()
    over: list[ParkedKey] = []
    parked: dict[ParkedKey, ParkedRow] = {}
    for position, event in page.events:
        stream, action = event.originator_id, event.action_id
        match event:
            case LifecycleEvent():
                before = newest.get(stream)
                newest[stream] = event, 1 if before is None else before[1] + 1
                actions[stream, action] = event
                over.append((stream, action, event.state))
            case SignalParked():
                parked[stream, action, event.parked_state] = ParkedRow(
                    event.organization,
                    event.recorded_at,
                    position,
                    event.visitor.raw or b"",
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
                raise TypeError(f"current state knows no {type(event).__name__}")
        if parked:
            parked.pop(over[-1], None)
    return CurrentStateChange(
        {stream: _offer_row(event, added) for stream, (event, added) in newest.items()},
        {key: _action_row(event) for key, event in actions.items()},
        refused,
        over,
        parked,
    )


def _offer_row(event: LifecycleEvent, added: int) -> OfferRow:
    visitor = event.visitor
    return OfferRow(
        event.organization,
        visitor.customer_id_type.encode(),
        visitor.customer_id.encode(),
        event.action_map_id,
        event.action_id,
        event.state,
        event.stage,
        event.occurred_at,
        event.action_number,
        added,
        _withdrawn_at(event),
    )


def _action_row(event: LifecycleEvent) -> ActionRow:
    return ActionRow(event.action_number, event.state, event.stage, event.occurred_at, event.offered_at)


def _withdrawn_at(event: LifecycleEvent) -> datetime | None:
    """When an unanswered invitation times out, counted from the later of its two clocks."""
    if event.state is not State.OFFERED or event.timeout_seconds is None:
        return None
    return max(event.occurred_at, event.recorded_at) + timedelta(seconds=event.timeout_seconds)
