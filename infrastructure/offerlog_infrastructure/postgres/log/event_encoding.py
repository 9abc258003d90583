"""The stored encoding of an event's state: a short MessagePack array without trailing defaults.

Ids are 16 bytes instead of 36 characters, the second and third time of an event are kept as distances, and
what is nearly always the same (a cookie, a web chat) is not written. What identifies the visitor is one
sub-array of its own, `who`, so that it can be sealed as a whole under a new stored version.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from offerlog_domain.event_fields import Event, EventVisitor, SignalEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, Rejected, SignalParked
from offerlog_domain.lifecycle import WEBCHAT, Stage, State
from offerlog_domain.outcomes import Reason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_COOKIE: Final = "cookie"
_ID_BYTES: Final = 16


class EncodedVisitor(msgspec.Struct, array_like=True, frozen=True):
    """What identifies the visitor; `customer_id` is text, or the 16 bytes of a lower-case UUID."""

    customer_id: Any
    session_id: bytes
    customer_id_type: str = _COOKIE
    raw: bytes | None = None


class EncodedEvent(msgspec.Struct, array_like=True, frozen=True):
    """The array; times are microseconds, `recorded` since 1970, the others before it.

    Attributes:
        ids: Action map, action and, if there is one, event id.
        details: What only one kind of event tells: a stage, a state, or a refusal's blocker.
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


class _KindEncoding(NamedTuple):
    """What a kind of event tells."""

    is_signal: bool
    is_lifecycle: bool
    details: Callable[[Any], tuple[Any, ...] | None]
    read_details: Callable[[tuple[Any, ...]], dict[str, Any]] | None


class _Prefix(msgspec.Struct, array_like=True, frozen=True):
    """The first fields of `EncodedEvent`; the others are passed over."""

    recorded: int
    ids: bytes
    organization: str


_decode_prefix = msgspec.msgpack.Decoder(_Prefix).decode


def decode_action_map(state: bytes) -> tuple[str, str]:
    """Return organization and action map of a stored event, for a fraction of what reading it whole costs.

    Raises:
        msgspec.MsgspecError: The bytes are not a stored event.
    """
    prefix = _decode_prefix(state)
    return prefix.organization, _hyphenated(prefix.ids[:_ID_BYTES])


def encode_event(event: Event) -> bytes:
    """The event as stored, without its stream, version and name."""
    who, recorded = event.visitor, event.recorded_at
    visitor: list[Any] = [_compact_id(who.customer_id), _id_bytes(who.session_id)]
    if who.raw is not None:
        visitor += who.customer_id_type, who.raw
    elif who.customer_id_type != _COOKIE:
        visitor.append(who.customer_id_type)
    details = _kind_encoding(type(event)).details(event)  # type: ignore[arg-type] # mypy takes the hash of its instances for its own
    ids = event.action_map_id + event.action_id
    values: list[Any] = [(recorded - _EPOCH) // _MICROSECOND, b"", event.organization, visitor]
    if isinstance(event, SignalEvent):
        ids += event.event_id or ""
        values.append((recorded - event.occurred_at) // _MICROSECOND)
        if isinstance(event, LifecycleEvent):
            values += event.action_number, (recorded - event.offered_at) // _MICROSECOND
        else:
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
    elif details is not None:
        values += (*_DEFAULTS[:5], details)
    values[1] = _id_bytes(ids)
    return _encode(values)


def decode_fields(state: bytes, event: type[Event]) -> dict[str, Any]:
    """Every field of a stored event but its stream and version.

    Raises:
        msgspec.DecodeError: The bytes are no such array.
        ValueError: A detail is not what this kind of event tells.
    """
    stored, kind = _decode(state), _kind_encoding(event)  # type: ignore[arg-type] # mypy takes the hash of its instances for its own
    recorded, ids = _EPOCH + stored.recorded * _MICROSECOND, stored.ids
    fields: dict[str, Any]
    if kind.is_signal:  # in one go: a dictionary that grows costs more than all of its values
        before, event_id = stored.occurred_before, ids[2 * _ID_BYTES :]
        occurred = recorded - before * _MICROSECOND if before else recorded
        fields = {
            "organization": stored.organization,
            "visitor": _visitor(stored.who),
            "action_map_id": _id_text(ids[:_ID_BYTES]),
            "action_id": _id_text(ids[_ID_BYTES : 2 * _ID_BYTES]),
            "recorded_at": recorded,
            "media_type": stored.media_type,
            "action_map_version": stored.action_map_version,
            "action_map_name": stored.action_map_name,
            "event_id": _hyphenated(event_id) if event_id else None,
            "occurred_at": occurred,
            "dated": not stored.undated,
            "error_code": stored.error_code,
            "error_message": stored.error_message,
            "timeout_seconds": stored.timeout_seconds,
        }
        if kind.is_lifecycle:
            fields["action_number"] = stored.action_number
            fields["offered_at"] = (
                occurred
                if stored.offered_before == before
                else recorded - stored.offered_before * _MICROSECOND
            )
    else:
        fields = {
            "organization": stored.organization,
            "visitor": _visitor(stored.who),
            "action_map_id": _id_text(ids[:_ID_BYTES]),
            "action_id": _id_text(ids[_ID_BYTES:]),
            "recorded_at": recorded,
        }
    if kind.read_details is not None:
        fields |= kind.read_details(stored.details or ())
    return fields


def _visitor(who: EncodedVisitor) -> EventVisitor:
    customer_id = who.customer_id
    return EventVisitor.of(
        {
            "customer_id": _id_text(customer_id) if isinstance(customer_id, bytes) else str(customer_id),
            "customer_id_type": who.customer_id_type,
            "session_id": _id_text(who.session_id),
            "raw": who.raw,
        }
    )


@cache
def _kind_encoding(event: type[Any]) -> _KindEncoding:
    details: Callable[[Any], tuple[Any, ...] | None] = lambda _: None  # noqa: E731 - one of five values
    read: Callable[[tuple[Any, ...]], dict[str, Any]] | None = None
    if issubclass(event, Rejected):
        details, read = (lambda f: (f.rejected_stage,)), (lambda d: {"rejected_stage": Stage(*d)})
    elif issubclass(event, SignalParked):
        details, read = _parked_details, _read_parked_details
    elif issubclass(event, ParkingEnded):
        details, read = (lambda f: (f.parked_state,)), (lambda d: {"parked_state": State(*d)})
    elif issubclass(event, OfferRefused):
        details, read = _refusal_details, _read_refusal_details
    return _KindEncoding(issubclass(event, SignalEvent), issubclass(event, LifecycleEvent), details, read)


def _parked_details(event: SignalParked) -> tuple[Any, ...]:
    state = event.parked_state
    return (state,) if event.raw_length is None else (state, event.raw_length)


def _read_parked_details(details: tuple[Any, ...]) -> dict[str, Any]:
    state, *length = details
    return {"parked_state": State(state), "raw_length": int(length[0]) if length else None}


def _refusal_details(event: OfferRefused) -> tuple[Any, ...]:
    since = (event.blocking_since - _EPOCH) // _MICROSECOND
    return event.reason, _id_bytes(event.blocking_action_id), event.blocking_state, since


def _read_refusal_details(details: tuple[Any, ...]) -> dict[str, Any]:
    reason, action_id, state, since = details
    return {
        "reason": Reason(reason),
        "blocking_action_id": _id_text(action_id),
        "blocking_state": State(state),
        "blocking_since": _EPOCH + since * _MICROSECOND,
    }


def _trim(values: list[Any]) -> None:
    """Leave out what the reader will fill in."""
    while values[-1] == _DEFAULTS[len(values) - _REQUIRED - 1]:
        values.pop()


def _id_bytes(ids: str) -> bytes:
    return bytes.fromhex(ids.replace("-", ""))


def _hyphenated(id_: bytes) -> str:
    text = id_.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_id_text: Final = lru_cache(maxsize=1_000)(_hyphenated)
"""For ids that come again: of maps, and within a stream those of its visitor, session and action. To look
among more than the processor's own memory holds costs more than making them again."""


def _compact_id(customer_id: str) -> bytes | str:
    """The 16 bytes of a UUID that reads back byte for byte; any other id as it is."""
    if len(customer_id) == 36:  # noqa: PLR2004 - the length of a hyphenated UUID
        try:
            compact = _id_bytes(customer_id)
        except ValueError:
            return customer_id
        if len(compact) == _ID_BYTES and _hyphenated(compact) == customer_id:
            return compact
    return customer_id
