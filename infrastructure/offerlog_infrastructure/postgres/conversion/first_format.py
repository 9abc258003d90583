"""Events of stored version 1, as offerlog 0.1 stored them: one short array that names the visitor."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import convert

from offerlog_domain.event_fields import Event, PrivateFields, SignalEvent
from offerlog_domain.events import (
    LifecycleEvent,
    OfferRefused,
    ParkingEnded,
    Rejected,
    SignalParked,
)
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import WEBCHAT, Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.postgres.conversion.unsealed_event import UnsealedEvent

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UUID_BYTES: Final = 16


class FirstVisitor(msgspec.Struct, array_like=True, frozen=True):
    """The visitor's identity; `customer_id` is text, or the 16 bytes of a lower-case UUID."""

    customer_id: Any
    session_id: bytes
    customer_id_type: str = "cookie"
    raw: bytes | None = None


class FirstEvent(msgspec.Struct, array_like=True, frozen=True):
    """The stored array. Times are microseconds: `recorded` since 1970, the others before `recorded`.

    Attributes:
        ids: The ids of action map, action and, if there is one, event; 16 bytes each.
        details: Fields of one kind of event alone: a stage, a state, or a refusal's blocker.
    """

    recorded: int
    ids: bytes
    organization: str
    who: FirstVisitor
    occurred_before: int = 0
    action_number: int = 0
    offered_before: int = 0
    action_map_version: int | None = None
    action_map_name: str | None = None
    details: tuple[Any, ...] | None = None
    timeout_seconds: int | None = None
    undated: bool = False
    media_type: str = WEBCHAT.media_type
    error_code: str | None = None
    error_message: str | None = None


_decode: Final = msgspec.msgpack.Decoder(FirstEvent).decode


def decode_first(kind: type[Event], state: bytes) -> UnsealedEvent:
    """Decode a stored state of version 1.

    Raises:
        msgspec.MsgspecError: The bytes are not such an array.
        ValueError: A detail does not fit this kind of event.
        TypeError: The number of details does not fit this kind of event.
        OverflowError: A time is out of range.
    """
    stored = _decode(state)
    recorded = _EPOCH + stored.recorded * _MICROSECOND
    details = stored.details or ()
    blocking_action_id = convert(details[1], UUID) if issubclass(kind, OfferRefused) else None
    event = _build(kind, stored, recorded, details)
    return UnsealedEvent(event, _private(stored, blocking_action_id), _visitor(stored.who))


def _build(kind: type[Event], stored: FirstEvent, recorded: datetime, details: tuple[Any, ...]) -> Event:
    common: dict[str, Any] = {
        "organization": stored.organization,
        "action_map_id": convert(stored.ids[:_UUID_BYTES], UUID),
        "recorded_at": recorded,
    }
    if issubclass(kind, SignalEvent):
        common |= {
            "media_type": stored.media_type,
            "occurred_at": recorded - stored.occurred_before * _MICROSECOND,
            "dated": not stored.undated,
            "action_map_version": stored.action_map_version,
            "action_map_name": stored.action_map_name,
            "timeout_seconds": stored.timeout_seconds,
        }
    if issubclass(kind, LifecycleEvent):
        common |= {
            "action_number": stored.action_number,
            "offered_at": recorded - stored.offered_before * _MICROSECOND,
        }
    return kind(**common, **_details_of(kind, details))


def _details_of(kind: type[Event], details: tuple[Any, ...]) -> Mapping[str, Any]:
    """Return the fields that only this kind of event has."""
    if issubclass(kind, Rejected):
        return {"rejected_stage": Stage(*details)}
    if issubclass(kind, ParkingEnded):
        return {"parked_state": State(*details)}
    if issubclass(kind, SignalParked):
        state, *length = details
        return {"parked_state": State(state), "raw_length": int(length[0]) if length else None}
    if issubclass(kind, OfferRefused):
        reason, _, state, since = details
        return {
            "reason": Reason(reason),
            "blocking_state": State(state),
            "blocking_since": _EPOCH + since * _MICROSECOND,
        }
    return {}


def _private(stored: FirstEvent, blocking_action_id: UUID | None) -> PrivateFields:
    who, ids = stored.who, stored.ids
    event_id = ids[2 * _UUID_BYTES :]
    return PrivateFields(
        session_id=convert(who.session_id, UUID),
        action_id=convert(ids[_UUID_BYTES : 2 * _UUID_BYTES], UUID),
        event_id=convert(event_id, UUID) if event_id else None,
        error_code=stored.error_code,
        error_message=stored.error_message,
        blocking_action_id=blocking_action_id,
        raw=who.raw,
    )


def _visitor(who: FirstVisitor) -> VisitorKey:
    customer_id = who.customer_id
    if isinstance(customer_id, bytes):
        customer_id = format_uuid(convert(customer_id, UUID))
    if not isinstance(customer_id, str):
        raise ValueError(f"a customer id is text, not a {type(customer_id).__name__}")  # noqa: TRY004 - of stored bytes
    return VisitorKey(who.customer_id_type, customer_id)
