"""Typed builders of events, for values that were validated before.

A signal is validated when it comes in. To validate its values again for each event would cost more than to
decide it. So a builder skips validation, and the type checker makes sure that no field is missing or of a
wrong type. The dictionary that a builder gets becomes a part of the event: the caller must not keep it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypedDict, TypeVar
from uuid import UUID

from offerlog_domain.event_fields import Event, EventVisitor, SignalEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Blocker

_new: Final = object.__new__
_set: Final = object.__setattr__  # fills a frozen dataclass

T = TypeVar("T", bound=Event)
L = TypeVar("L", bound=LifecycleEvent)


class VisitorFields(TypedDict):
    """The fields of an `EventVisitor`."""

    customer_id: str
    customer_id_type: str
    session_id: str
    raw: bytes | None


class EventFields(TypedDict):
    """The fields of every `Event`."""

    originator_id: UUID
    originator_version: int
    organization: str
    visitor: EventVisitor
    action_map_id: str
    action_id: str
    recorded_at: datetime


class SignalEventFields(EventFields):
    """The fields of every `SignalEvent`."""

    media_type: str
    action_map_version: int | None
    action_map_name: str | None
    event_id: str | None
    occurred_at: datetime
    dated: bool
    error_code: str | None
    error_message: str | None
    timeout_seconds: int | None


class LifecycleEventFields(SignalEventFields):
    """The fields of every `LifecycleEvent`."""

    action_number: int
    offered_at: datetime


def build_visitor(fields: VisitorFields) -> EventVisitor:
    """Build the visitor of an event without validation."""
    visitor = _new(EventVisitor)
    _set(visitor, "__dict__", fields)
    return visitor


def build_lifecycle_event(kind: type[L], fields: LifecycleEventFields, stage: Stage | None = None) -> L:
    """Build a lifecycle event without validation.

    Args:
        kind: The class of the event.
        fields: Every field but the stage.
        stage: The stage of a `Rejected`; None for any other kind.

    Raises:
        ValueError: A `Rejected` needs a stage, or another kind got one.
    """
    if (kind.state is State.REJECTED) is (stage is None):
        raise ValueError(f"stage {stage!r} does not fit {kind.__name__}: only a rejection has one")
    event = _new(kind)
    _set(event, "__dict__", fields if stage is None else {**fields, "rejected_stage": stage})
    return event


def build_offer_refused(fields: SignalEventFields, blocker: Blocker) -> OfferRefused:
    """Build the event of an offer that a blocker stands against, without validation."""
    return _build(
        OfferRefused,
        {
            **fields,
            "reason": blocker.reason,
            "blocking_action_id": blocker.action_id,
            "blocking_state": blocker.state,
            "blocking_since": blocker.since,
        },
    )


def build_signal_parked(fields: SignalEventFields, state: State, raw_length: int | None) -> SignalParked:
    """Build the event of a signal that waits for its action to come to a state, without validation."""
    return _build(SignalParked, {**fields, "parked_state": state, "raw_length": raw_length})


def build_parking_ended(fields: EventFields, state: State) -> ParkingEnded:
    """Build the event of a parked signal whose time is over, without validation."""
    return _build(ParkingEnded, {**fields, "parked_state": state})


def drop_text(visitor: EventVisitor) -> EventVisitor:
    """Return the same visitor without the text of the signal."""
    if visitor.raw is None:
        return visitor
    return build_visitor(
        {
            "customer_id": visitor.customer_id,
            "customer_id_type": visitor.customer_id_type,
            "session_id": visitor.session_id,
            "raw": None,
        }
    )


def copy_signal_fields(event: SignalEvent) -> SignalEventFields:
    """Return the fields that an event has of its signal, for another event; the text is left out."""
    return {
        "originator_id": event.originator_id,
        "originator_version": event.originator_version,
        "organization": event.organization,
        "visitor": drop_text(event.visitor),
        "action_map_id": event.action_map_id,
        "action_id": event.action_id,
        "recorded_at": event.recorded_at,
        "media_type": event.media_type,
        "action_map_version": event.action_map_version,
        "action_map_name": event.action_map_name,
        "event_id": event.event_id,
        "occurred_at": event.occurred_at,
        "dated": event.dated,
        "error_code": event.error_code,
        "error_message": event.error_message,
        "timeout_seconds": event.timeout_seconds,
    }


def _build(kind: type[T], fields: Mapping[str, Any]) -> T:
    event = _new(kind)
    _set(event, "__dict__", fields)
    return event
