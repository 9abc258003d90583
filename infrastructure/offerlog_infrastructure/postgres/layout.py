"""How a fact's state lies in the log: a short MessagePack array, trailing defaults left out.

Ids are 16 bytes instead of 36 characters, the second and third time of a fact are kept as distances, and
what is nearly always the same (a cookie, a web chat) is not written. What identifies the visitor is one
sub-array of its own, `who`, so that it can be sealed as a whole under a new stored version.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from offerlog_domain.events import (
    Fact,
    LifecycleEvent,
    OfferRefused,
    ParkingEnded,
    Rejected,
    Report,
    SignalParked,
    Visitor,
)
from offerlog_domain.lifecycle import WEBCHAT, Stage, State
from offerlog_domain.outcomes import Reason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_COOKIE: Final = "cookie"
_ID_BYTES: Final = 16


class Who(msgspec.Struct, array_like=True, frozen=True):
    """What identifies the visitor; `customer_id` is text, or the 16 bytes of a lower-case UUID."""

    customer_id: Any
    session_id: bytes
    customer_id_type: str = _COOKIE
    raw: bytes | None = None


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """The array; times are microseconds, `recorded` since 1970, the others before it.

    Attributes:
        ids: Action map, action and, if there is one, event id.
        details: What only one kind of fact tells: a stage, a state, or a refusal's blocker.
    """

    recorded: int
    ids: bytes
    organization: str
    who: Who
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


_DEFAULTS: Final = Stored.__struct_defaults__
_REQUIRED: Final = len(Stored.__struct_fields__) - len(_DEFAULTS)
_WHO_DEFAULTS: Final = Who.__struct_defaults__

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


def state_of(fact: Fact) -> bytes:
    """The fact as stored, without its stream, version and name."""
    who, recorded = fact.visitor, fact.recorded_at
    ids = _id_bytes(fact.action_map_id) + _id_bytes(fact.action_id)
    visitor = [_compact_id(who.customer_id), _id_bytes(who.session_id), who.customer_id_type, who.raw]
    _trim(visitor, _WHO_DEFAULTS, 2)
    values: list[Any] = [(recorded - _EPOCH) // _MICROSECOND, ids, fact.organization, visitor]
    if isinstance(fact, Report):
        if fact.event_id is not None:
            values[1] = ids + _id_bytes(fact.event_id)
        number, offered_at = 0, recorded
        if isinstance(fact, LifecycleEvent):
            number, offered_at = fact.action_number, fact.offered_at
        values += (
            (recorded - fact.occurred_at) // _MICROSECOND,
            number,
            (recorded - offered_at) // _MICROSECOND,
            fact.action_map_version,
            fact.action_map_name,
            _details(fact),
            fact.timeout_seconds,
            not fact.dated,
            fact.media_type,
            fact.error_code,
            fact.error_message,
        )
    else:
        values += (*_DEFAULTS[:5], _details(fact))
    _trim(values, _DEFAULTS, _REQUIRED)
    return _encode(values)


def told_by(state: bytes, fact: type[Fact]) -> dict[str, Any]:
    """Every field of a stored fact but its stream and version.

    Raises:
        msgspec.DecodeError: The bytes are no such array.
        ValueError: A detail is not what this kind of fact tells.
    """
    stored = _decode(state)
    recorded = _EPOCH + timedelta(microseconds=stored.recorded)
    who, ids, customer_id = stored.who, stored.ids, stored.who.customer_id
    told: dict[str, Any] = {
        "organization": stored.organization,
        "visitor": Visitor.of(
            {
                "customer_id": _id_text(customer_id) if isinstance(customer_id, bytes) else str(customer_id),
                "customer_id_type": who.customer_id_type,
                "session_id": _id_text(who.session_id),
                "raw": who.raw,
            }
        ),
        "action_map_id": _id_text(ids[:16]),
        "action_id": _id_text(ids[16:32]),
        "recorded_at": recorded,
    }
    if issubclass(fact, Report):
        told["media_type"] = stored.media_type
        told["action_map_version"] = stored.action_map_version
        told["action_map_name"] = stored.action_map_name
        told["event_id"] = _id_text(ids[32:]) if len(ids) > 2 * _ID_BYTES else None
        told["occurred_at"] = recorded - timedelta(microseconds=stored.occurred_before)
        told["dated"] = not stored.undated
        told["error_code"] = stored.error_code
        told["error_message"] = stored.error_message
        told["timeout_seconds"] = stored.timeout_seconds
    if issubclass(fact, LifecycleEvent):
        told["action_number"] = stored.action_number
        told["offered_at"] = recorded - timedelta(microseconds=stored.offered_before)
    _tell_details(told, fact, stored.details or ())
    return told


def _details(fact: Fact) -> tuple[Any, ...] | None:
    match fact:
        case Rejected():
            return (fact.rejected_stage,)
        case SignalParked() | ParkingEnded():
            return (fact.parked_state,)
        case OfferRefused():
            since = (fact.blocking_since - _EPOCH) // _MICROSECOND
            return fact.reason, _id_bytes(fact.blocking_action_id), fact.blocking_state, since
        case _:
            return None


def _tell_details(told: dict[str, Any], fact: type[Fact], details: tuple[Any, ...]) -> None:
    if fact is Rejected:
        told["rejected_stage"] = Stage(*details)
    elif fact is SignalParked or fact is ParkingEnded:
        told["parked_state"] = State(*details)
    elif fact is OfferRefused:
        reason, action_id, state, since = details
        told["reason"] = Reason(reason)
        told["blocking_action_id"] = _id_text(action_id)
        told["blocking_state"] = State(state)
        told["blocking_since"] = _EPOCH + timedelta(microseconds=since)


def _trim(values: list[Any], defaults: tuple[Any, ...], required: int) -> None:
    while len(values) > required and values[-1] == defaults[len(values) - required - 1]:
        values.pop()


def _id_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def _id_text(id_bytes: bytes) -> str:
    text = id_bytes.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _compact_id(customer_id: str) -> bytes | str:
    """The 16 bytes of a UUID that reads back byte for byte; any other id as it is."""
    if len(customer_id) == 36:  # noqa: PLR2004 - the length of a hyphenated UUID
        try:
            compact = _id_bytes(customer_id)
        except ValueError:
            return customer_id
        if len(compact) == _ID_BYTES and _id_text(compact) == customer_id:
            return compact
    return customer_id
