"""Current state: where every visitor-offer and every action stands, and what is parked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import State


class OfferRow(NamedTuple):
    """Where a visitor-offer stands: its newest action, and how many events this page added."""

    organization: str
    customer_id_type: bytes
    customer_id: bytes
    action_map_id: str
    action_id: str
    state: str
    stage: str | None
    since: datetime
    actions: int
    events_added: int
    withdrawn_at: datetime | None


class ActionRow(NamedTuple):
    """Where one action stands."""

    number: int
    state: str
    stage: str | None
    since: datetime
    offered_at: datetime


class ParkedRow(NamedTuple):
    """A signal that waits."""

    organization: str
    parked_at: datetime
    position: int
    raw: bytes


ParkedKey = tuple[UUID, str, str]
"""Stream, action and state."""


@dataclass(frozen=True, slots=True)
class CurrentStateChange:
    """Rows to put in place, by key; None where a parked signal waits no longer."""

    offers: Mapping[UUID, OfferRow] = field(default_factory=dict)
    actions: Mapping[tuple[UUID, str], ActionRow] = field(default_factory=dict)
    parked: Mapping[ParkedKey, ParkedRow | None] = field(default_factory=dict)
    refused_actions: frozenset[tuple[UUID, str]] = frozenset()


def current_state(page: Page) -> CurrentStateChange:
    """The change that a page brings about."""
    offers: dict[UUID, OfferRow] = {}
    actions: dict[tuple[UUID, str], ActionRow] = {}
    parked: dict[tuple[UUID, str], dict[str, ParkedRow | None]] = {}
    refused: set[tuple[UUID, str]] = set()
    for position, fact in ((p.position, p.fact) for p in page.facts):
        stream = fact.originator_id
        match fact:
            case LifecycleEvent():
                stage = fact.stage.value if fact.stage else None
                before = offers.get(stream)
                offers[stream] = OfferRow(
                    fact.organization,
                    fact.visitor.customer_id_type.encode(),
                    fact.visitor.customer_id.encode(),
                    fact.action_map_id,
                    fact.action_id,
                    fact.state.value,
                    stage,
                    fact.occurred_at,
                    fact.action_number,
                    (before.events_added if before else 0) + 1,
                    _withdrawn_at(fact),
                )
                actions[stream, fact.action_id] = ActionRow(
                    fact.action_number, fact.state.value, stage, fact.occurred_at, fact.offered_at
                )
                parked.setdefault((stream, fact.action_id), {})[fact.state.value] = None
            case SignalParked():
                parked.setdefault((stream, fact.action_id), {})[fact.parked_state.value] = ParkedRow(
                    fact.organization, fact.recorded_at, position, fact.visitor.raw or b""
                )
            case ParkingEnded():
                parked.setdefault((stream, fact.action_id), {})[fact.parked_state.value] = None
            case OfferRefused():
                refused.add((stream, fact.action_id))
                parked.pop((stream, fact.action_id), None)
            case _:
                raise TypeError(f"current state knows no {type(fact).__name__}")
    waiting = {(*key, state): row for key, states in parked.items() for state, row in states.items()}
    return CurrentStateChange(offers, actions, waiting, frozenset(refused))


def _withdrawn_at(event: LifecycleEvent) -> datetime | None:
    """When an unanswered invitation times out, counted from the later of its two clocks."""
    if event.state is not State.OFFERED or event.timeout_seconds is None:
        return None
    return max(event.occurred_at, event.recorded_at) + timedelta(seconds=event.timeout_seconds)
