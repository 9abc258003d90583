"""The fields that a new event takes from a signal, or from the event of an earlier signal."""

from datetime import datetime
from typing import TypedDict
from uuid import UUID

from msgspec.structs import replace

from offerlog_domain.context import DecisionContext
from offerlog_domain.event_fields import PrivateFields, RecordedEvent, SignalEvent
from offerlog_domain.signals import NativeSignal


class SignalEventFields(TypedDict):
    """The public fields of every `SignalEvent`."""

    organization: str
    action_map_id: UUID
    recorded_at: datetime
    media_type: str
    occurred_at: datetime
    dated: bool
    action_map_version: int | None
    action_map_name: str | None
    timeout_seconds: int | None


def public_fields_of(signal: NativeSignal, context: DecisionContext) -> SignalEventFields:
    """Return the public fields of an event, made from a signal."""
    now, occurred_at = context.now, signal.occurred_at
    return {
        "organization": context.organization,
        "action_map_id": signal.action_map_id,
        "recorded_at": now,
        "media_type": signal.media_type,
        "occurred_at": (context.undated_at or now) if occurred_at is None else occurred_at,
        "dated": occurred_at is not None,
        "action_map_version": signal.action_map_version,
        "action_map_name": signal.action_map_name,
        "timeout_seconds": signal.timeout_seconds,
    }


def private_fields_of(
    signal: NativeSignal, *, raw: bytes | None = None, blocking_action_id: UUID | None = None
) -> PrivateFields:
    """Return the private fields of an event, made from a signal."""
    return PrivateFields(
        session_id=signal.session_id,
        action_id=signal.action_id,
        event_id=signal.event_id,
        error_code=signal.error_code,
        error_message=signal.error_message,
        blocking_action_id=blocking_action_id,
        raw=raw,
    )


def copy_public_fields(event: SignalEvent, recorded_at: datetime) -> SignalEventFields:
    """Return the public fields that an event has of its signal, for another event."""
    return {
        "organization": event.organization,
        "action_map_id": event.action_map_id,
        "recorded_at": recorded_at,
        "media_type": event.media_type,
        "occurred_at": event.occurred_at,
        "dated": event.dated,
        "action_map_version": event.action_map_version,
        "action_map_name": event.action_map_name,
        "timeout_seconds": event.timeout_seconds,
    }


def copy_private_fields(recorded: RecordedEvent[SignalEvent]) -> PrivateFields:
    """Return the private fields of an event, for another event; the text is left out."""
    return recorded.private if recorded.private.raw is None else replace(recorded.private, raw=None)
