"""The stored forms of the first format: version 1, and version 2 before private fields were sealed.

Version 1 is that of offerlog 0.1. Builds between 0.1 and the second format wrote version 2 with a private
part in clear, which has the visitor first. Sealed events have version 2 too, and are never in `first_events`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.events import EVENTS
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.postgres.conversion.first_format import decode_first
from offerlog_infrastructure.postgres.conversion.unsealed_event import UnsealedEvent
from offerlog_infrastructure.postgres.log.event_encoding import plain_decoder


class PrivatePart(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The private part of version 2 before it was sealed."""

    customer_id: str
    customer_id_type: str
    session_id: UUID
    action_id: UUID
    event_id: UUID | None = None
    error_code: str | None = None
    error_message: str | None = None
    blocking_action_id: UUID | None = None
    raw: bytes | None = None


_decode_part: Final = msgspec.msgpack.Decoder(PrivatePart).decode


def decode_unsealed(decode_event: Callable[[bytes], tuple[Event, bytes]], state: bytes) -> UnsealedEvent:
    """Decode a stored state of version 2 whose private part is in clear.

    Raises:
        msgspec.MsgspecError: The bytes are not such an event.
    """
    event, part = decode_event(state)
    who = _decode_part(part)
    private = PrivateFields(
        session_id=who.session_id,
        action_id=who.action_id,
        event_id=who.event_id,
        error_code=who.error_code,
        error_message=who.error_message,
        blocking_action_id=who.blocking_action_id,
        raw=who.raw,
    )
    return UnsealedEvent(event, private, VisitorKey(who.customer_id_type, who.customer_id))


_DECODERS: Final[Mapping[str, Callable[[bytes], UnsealedEvent]]] = {
    f"{kind.stored_name}.1": partial(decode_first, kind) for kind in EVENTS
} | {f"{kind.stored_name}.2": partial(decode_unsealed, plain_decoder(kind)) for kind in EVENTS}

UNREADABLE: Final = (LookupError, ValueError, TypeError, OverflowError, msgspec.MsgspecError)
"""The errors of `decode_stored`."""


def decode_stored(topic: str, state: bytes) -> UnsealedEvent:
    """Decode an event of the first format.

    Raises:
        LookupError: No such name and version was ever stored.
        ValueError, TypeError, OverflowError, msgspec.MsgspecError: The bytes are not such an event.
    """
    decode = _DECODERS.get(topic)
    if decode is None:
        raise LookupError("no version of offerlog stored such a name and version")
    return decode(state)
