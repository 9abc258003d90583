"""The stored encoding of an event's state: a short MessagePack array without trailing defaults.

Ids are 16 bytes instead of 36 characters. The second and third time of an event are stored as differences.
Usual values (a cookie, a web chat) are not written. The visitor's identity is one sub-array, `who`, so that a
new stored version can encrypt it as a whole.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from offerlog_domain.event_factory import (
    EventFields,
    SignalEventFields,
    build_lifecycle_event,
    build_offer_refused,
    build_parking_ended,
    build_signal_parked,
    build_visitor,
)
from offerlog_domain.event_fields import Event, EventVisitor, SignalEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.identity import UUID_BYTES, pack_text_id, pack_uuids, unpack_uuid
from offerlog_domain.lifecycle import WEBCHAT, Stage, State
from offerlog_domain.outcomes import Blocker, Reason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_COOKIE: Final = "cookie"


class EncodedVisitor(msgspec.Struct, array_like=True, frozen=True):
    """The visitor's identity; `customer_id` is text, or the 16 bytes of a lower-case UUID."""

    customer_id: Any
    session_id: bytes
    customer_id_type: str = _COOKIE
    raw: bytes | None = None


class EncodedEvent(msgspec.Struct, array_like=True, frozen=True):
    """The stored array. Times are microseconds: `recorded` since 1970, the others before `recorded`.

    Attributes:
        ids: The ids of action map, action and, if there is one, event.
        details: Fields of one kind of event alone: a stage, a state, or a refusal's blocker.
    """

    recorded: int
    ids: bytes
    organization: str
    who: EncodedVisitor
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


_DEFAULTS: Final = EncodedEvent.__struct_defaults__
_REQUIRED: Final = len(EncodedEvent.__struct_fields__) - len(_DEFAULTS)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EncodedEvent).decode


class _Prefix(msgspec.Struct, array_like=True, frozen=True):
    """The first fields of `EncodedEvent`; the decoder skips the others."""

    recorded: int
    ids: bytes
    organization: str


_decode_prefix = msgspec.msgpack.Decoder(_Prefix).decode


def decode_action_map(state: bytes) -> tuple[str, str]:
    """Decode organization and action map of a stored event, at a fraction of the cost of all its fields.

    Raises:
        msgspec.MsgspecError: The bytes are not a stored event.
    """
    prefix = _decode_prefix(state)
    return prefix.organization, unpack_uuid(prefix.ids[:UUID_BYTES])


def encode_event(event: Event) -> bytes:
    """Encode an event, without its stream, version and name."""
    who, recorded = event.visitor, event.recorded_at
    visitor: list[Any] = [pack_text_id(who.customer_id), pack_uuids(who.session_id)]
    if who.raw is not None:
        visitor += who.customer_id_type, who.raw
    elif who.customer_id_type != _COOKIE:
        visitor.append(who.customer_id_type)
    ids = event.action_map_id + event.action_id
    values: list[Any] = [(recorded - _EPOCH) // _MICROSECOND, b"", event.organization, visitor]
    if isinstance(event, SignalEvent):
        ids += event.event_id or ""
        values.append((recorded - event.occurred_at) // _MICROSECOND)
        if isinstance(event, LifecycleEvent):
            stage = event.stage
            details = None if stage is None else (stage,)
            values += event.action_number, (recorded - event.offered_at) // _MICROSECOND
        else:
            details = _encode_details(event)
            values += 0, 0
        values += (
            event.action_map_version,
            event.action_map_name,
            details,
            event.timeout_seconds,
            not event.dated,
            event.media_type,
            event.error_code,
            event.error_message,
        )
        _trim(values)
    elif (details := _encode_details(event)) is not None:
        values += (*_DEFAULTS[:5], details)
    values[1] = pack_uuids(ids)
    return _encode(values)


def decode_event(state: bytes, kind: type[Event], originator_id: UUID, originator_version: int) -> Event:
    """Decode a stored event.

    Args:
        state: The bytes of `encode_event`.
        kind: The class of the event.
        originator_id: The stream, which the bytes do not hold.
        originator_version: The place in the stream, which the bytes do not hold.

    Raises:
        msgspec.DecodeError: The bytes are not such an array.
        ValueError: A detail does not fit this kind of event.
    """
    stored = _decode(state)
    if issubclass(kind, LifecycleEvent):
        return _decode_lifecycle_event(stored, kind, originator_id, originator_version)
    details, ids = stored.details or (), stored.ids
    common: EventFields = {
        "originator_id": originator_id,
        "originator_version": originator_version,
        "organization": stored.organization,
        "visitor": _visitor(stored.who),
        "action_map_id": _id_text(ids[:UUID_BYTES]),
        "action_id": _id_text(ids[UUID_BYTES : 2 * UUID_BYTES]),
        "recorded_at": _EPOCH + stored.recorded * _MICROSECOND,
    }
    if not issubclass(kind, SignalEvent):
        return build_parking_ended(common, State(*details))
    fields: SignalEventFields = {
        **common,
        "media_type": stored.media_type,
        "action_map_version": stored.action_map_version,
        "action_map_name": stored.action_map_name,
        "event_id": unpack_uuid(ids[2 * UUID_BYTES :]) if len(ids) > 2 * UUID_BYTES else None,
        "occurred_at": common["recorded_at"] - stored.occurred_before * _MICROSECOND,
        "dated": not stored.undated,
        "error_code": stored.error_code,
        "error_message": stored.error_message,
        "timeout_seconds": stored.timeout_seconds,
    }
    if issubclass(kind, SignalParked):
        state_text, *length = details
        return build_signal_parked(fields, State(state_text), int(length[0]) if length else None)
    return build_offer_refused(fields, _decode_blocker(details))


def _decode_lifecycle_event(
    stored: EncodedEvent, kind: type[LifecycleEvent], originator_id: UUID, originator_version: int
) -> LifecycleEvent:
    """Decode one of the events that a log holds most of: in one dictionary, which costs the least."""
    recorded, ids, before = _EPOCH + stored.recorded * _MICROSECOND, stored.ids, stored.occurred_before
    occurred = recorded - before * _MICROSECOND if before else recorded
    event_id = ids[2 * UUID_BYTES :]
    return build_lifecycle_event(
        kind,
        {
            "originator_id": originator_id,
            "originator_version": originator_version,
            "organization": stored.organization,
            "visitor": _visitor(stored.who),
            "action_map_id": _id_text(ids[:UUID_BYTES]),
            "action_id": _id_text(ids[UUID_BYTES : 2 * UUID_BYTES]),
            "recorded_at": recorded,
            "media_type": stored.media_type,
            "action_map_version": stored.action_map_version,
            "action_map_name": stored.action_map_name,
            "event_id": unpack_uuid(event_id) if event_id else None,
            "occurred_at": occurred,
            "dated": not stored.undated,
            "error_code": stored.error_code,
            "error_message": stored.error_message,
            "timeout_seconds": stored.timeout_seconds,
            "action_number": stored.action_number,
            "offered_at": (
                occurred
                if stored.offered_before == before
                else recorded - stored.offered_before * _MICROSECOND
            ),
        },
        Stage(*stored.details or ()) if kind.state is State.REJECTED else None,
    )


def _visitor(who: EncodedVisitor) -> EventVisitor:
    customer_id = who.customer_id
    return build_visitor(
        {
            "customer_id": _id_text(customer_id) if isinstance(customer_id, bytes) else str(customer_id),
            "customer_id_type": who.customer_id_type,
            "session_id": _id_text(who.session_id),
            "raw": who.raw,
        }
    )


def _encode_details(event: Event) -> tuple[Any, ...] | None:
    """Return the fields that only this kind of event has; None where it has none of its own."""
    if isinstance(event, SignalParked):
        state = event.parked_state
        return (state,) if event.raw_length is None else (state, event.raw_length)
    if isinstance(event, OfferRefused):
        since = (event.blocking_since - _EPOCH) // _MICROSECOND
        return event.reason, pack_uuids(event.blocking_action_id), event.blocking_state, since
    return (event.parked_state,) if isinstance(event, ParkingEnded) else None


def _decode_blocker(details: tuple[Any, ...]) -> Blocker:
    reason, action_id, state, since = details
    return Blocker(Reason(reason), State(state), _id_text(action_id), _EPOCH + since * _MICROSECOND)


def _trim(values: list[Any]) -> None:
    """Remove trailing defaults, which the decoder fills in."""
    while values[-1] == _DEFAULTS[len(values) - _REQUIRED - 1]:
        values.pop()


_id_text: Final = lru_cache(maxsize=1_000)(unpack_uuid)
"""For ids that come again: of maps, and within a stream those of its visitor, session and action. A look-up
among more ids than fit into the processor's cache costs more than to compute the text again."""
