"""The stored encodings of an event: one MessagePack array of public fields, and sealed private fields.

A stored state is the array `[[public fields], sealed part]`. The sealed part is a byte string: the private
fields, sealed under the visitor's key. Ids are 16 bytes.

There are two forms of the public fields (docs/decisions/0069):

- the *plain* form: fields have the order in which the classes of events define them, and times are
  MessagePack timestamps. The last class of a kind may get one more field with a default; any other change is
  a new stored version. Version 2 of every kind has this form.
- the *compact* form of lifecycle events, from version 3 on: see `encode_compact`.

And there are two forms of the private fields. The short one is the byte 0x00 and two ids, or the byte 0x01
and three ids: session, action and signal. The long one is a MessagePack array of all fields, as in
`PrivateFields`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

import msgspec

from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.events import LifecycleEvent, Rejected
from offerlog_domain.lifecycle import Stage

Decoder = Callable[[bytes], tuple[Event, bytes]]
"""Decodes the public fields of a stored state, and returns them with the sealed part.

It raises `msgspec.MsgspecError` or `OverflowError` if the bytes are not an event of its kind."""

USUAL_ORGANIZATION: Final = "default"
"""The organization that the compact form leaves out: that of a service which has one tenant."""

USUAL_MEDIA_TYPE: Final = "webchat"
"""The media type that the compact form leaves out."""

_SECONDS_A_DAY: Final = 86_400

_TWO_IDS: Final = b"\x00"
_THREE_IDS: Final = b"\x01"
"""The first byte of private fields in the short form."""

_TWO_LENGTH: Final = 33
_THREE_LENGTH: Final = 49
_THREE_MARK: Final = 1 << 384

_PAIR: Final = b"\x92\xc4\x10%b\xc4\x10%b"
_TRIPLE: Final = b"\x93\xc4\x10%b\xc4\x10%b\xc4\x10%b"
"""An array of two or three ids in MessagePack."""

_encode: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode_private: Final = msgspec.msgpack.Decoder(PrivateFields).decode


def encode_private(private: PrivateFields) -> bytes:
    """Encode private fields, to be sealed."""
    if (
        private.error_code is not None
        or private.error_message is not None
        or private.blocking_action_id is not None
        or private.raw is not None
    ):
        return _encode(private)
    # One number of all ids, whose first byte is the mark: half the time of joining their bytes.
    ids = private.session_id.int << 128 | private.action_id.int
    if private.event_id is None:
        return ids.to_bytes(_TWO_LENGTH, "big")
    return (_THREE_MARK | ids << 128 | private.event_id.int).to_bytes(_THREE_LENGTH, "big")


def decode_private(opened: bytes) -> PrivateFields:
    """Decode opened private fields.

    Raises:
        msgspec.MsgspecError: The bytes are not private fields.
    """
    mark = opened[:1]
    if mark == _THREE_IDS and len(opened) == _THREE_LENGTH:
        ids = _TRIPLE % (opened[1:17], opened[17:33], opened[33:])
    elif mark == _TWO_IDS and len(opened) == _TWO_LENGTH:
        ids = _PAIR % (opened[1:17], opened[17:])
    else:
        return _decode_private(opened)
    return _decode_private(ids)


def encode_plain(event: Event, sealed: bytes) -> bytes:
    """Encode an event in the plain form, without its stream, version and name."""
    return _encode((event, sealed))


@cache
def plain_decoder(kind: type[Event]) -> Decoder:
    """Return the function that decodes the plain form of one kind of event."""
    decode: Decoder
    decode = msgspec.msgpack.Decoder(tuple[kind, bytes]).decode  # type: ignore[valid-type] # made at run time
    return decode


class _Compact(msgspec.Struct, array_like=True, gc=False):
    """The compact form of a lifecycle event. A field that is left out or nil has its usual value."""

    organization: str | None
    action_map_id: UUID
    recorded_at: datetime
    occurred_at: datetime | int | None
    offered_at: datetime | int | None
    action_number: int
    action_map_version: int | None = None
    action_map_name: str | None = None
    timeout_seconds: int | None = None
    parked_version: int | None = None
    media_type: str | None = None
    dated: bool | None = None
    rejected_stage: Stage | None = None


_decode_compact: Final = msgspec.msgpack.Decoder(tuple[_Compact, bytes]).decode


def encode_compact(event: LifecycleEvent, sealed: bytes) -> bytes:
    """Encode a lifecycle event in the compact form, without its stream, version and name.

    The array has these fields, and nil in place of a usual value; nils at its end are left out:

    - `organization`, which is usually "default";
    - `action_map_id` and `recorded_at`, as in the plain form;
    - `occurred_at`: nil if it is `recorded_at`; or how many milliseconds it is before that time, whose
      microseconds are cut; or a timestamp, if `occurred_at` has microseconds itself;
    - `offered_at`, stated in the same way by `occurred_at`;
    - `action_number`;
    - `action_map_version`, `action_map_name`, `timeout_seconds` and `parked_version`, which are usually None;
    - `media_type`, which is usually "webchat";
    - `dated`, which is usually True;
    - `rejected_stage`, which a `Rejected` alone has.
    """
    occurred_at = event.occurred_at
    values: list[Any] = [
        None if event.organization == USUAL_ORGANIZATION else event.organization,
        event.action_map_id,
        event.recorded_at,
        _state_time(occurred_at, event.recorded_at),
        _state_time(event.offered_at, occurred_at),
        event.action_number,
        event.action_map_version,
        event.action_map_name,
        event.timeout_seconds,
    ]
    media_type = None if event.media_type == USUAL_MEDIA_TYPE else event.media_type
    if (
        event.parked_version is not None
        or media_type is not None
        or not event.dated
        or event.stage is not None
    ):
        values += event.parked_version, media_type, None if event.dated else False, event.stage
    while values[-1] is None:
        del values[-1]
    return _encode((values, sealed))


@cache
def compact_decoder(kind: type[LifecycleEvent]) -> Decoder:
    """Return the function that decodes the compact form of one kind of lifecycle event."""
    make: Callable[..., LifecycleEvent] = kind
    has_stage = issubclass(kind, Rejected)

    def decode(state: bytes) -> tuple[Event, bytes]:
        found, sealed = _decode_compact(state)
        organization, recorded_at = found.organization, found.recorded_at
        occurred, offered, media_type = found.occurred_at, found.offered_at, found.media_type
        occurred_at = recorded_at if occurred is None else _read_time(occurred, recorded_at)
        build = make
        if has_stage:
            if found.rejected_stage is None:
                raise msgspec.ValidationError("a rejection has no stage")
            build = partial(make, rejected_stage=found.rejected_stage)
        event = build(
            organization=USUAL_ORGANIZATION if organization is None else organization,
            action_map_id=found.action_map_id,
            recorded_at=recorded_at,
            media_type=USUAL_MEDIA_TYPE if media_type is None else media_type,
            occurred_at=occurred_at,
            dated=found.dated is not False,
            action_map_version=found.action_map_version,
            action_map_name=found.action_map_name,
            timeout_seconds=found.timeout_seconds,
            action_number=found.action_number,
            offered_at=occurred_at if offered is None else _read_time(offered, occurred_at),
            parked_version=found.parked_version,
        )
        return event, sealed

    return decode


def _state_time(moment: datetime, other: datetime) -> datetime | int | None:
    """Return the value that stands for a time in the compact form: a distance, if that is shorter."""
    if moment == other:
        return None
    if moment.microsecond % 1_000:
        return moment
    before = other - moment
    return (before.days * _SECONDS_A_DAY + before.seconds) * 1_000 + before.microseconds // 1_000


def _read_time(stated: datetime | int, other: datetime) -> datetime:
    """Return the time for which this stands in the compact form."""
    if isinstance(stated, int):
        return other - timedelta(0, 0, other.microsecond % 1_000 + stated * 1_000)
    return stated
