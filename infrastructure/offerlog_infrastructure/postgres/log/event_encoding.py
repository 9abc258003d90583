"""The stored encoding of an event: one MessagePack array of the public fields, and the private part.

A stored state is the array `[[public fields], private part]`. The private part is bytes of its own, so that
it can be sealed, hashed or blanked without the public fields. Ids are 16 bytes and times are MessagePack
timestamps. Fields have the order in which the classes of events define them. The last class of a kind may get
one more field with a default; any other change is a new stored version.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from offerlog_domain.event_fields import Event, PrivateFields

_encode: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode_private: Final = msgspec.msgpack.Decoder(PrivateFields).decode


def encode_event(event: Event, private: PrivateFields) -> bytes:
    """Encode an event, without its stream, version and name."""
    return _encode((event, _encode(private)))


@cache
def event_decoder(kind: type[Event]) -> Callable[[bytes], tuple[Event, bytes]]:
    """Return the function that decodes the public fields of one kind of event, and leaves the private part.

    The function raises `msgspec.MsgspecError` if the bytes are not such an event.
    """
    decode: Callable[[bytes], tuple[Event, bytes]]
    decode = msgspec.msgpack.Decoder(tuple[kind, bytes]).decode  # type: ignore[valid-type] # made at run time
    return decode


def decode_private(part: bytes) -> PrivateFields:
    """Decode the private part.

    Raises:
        msgspec.MsgspecError: The bytes are not a private part.
    """
    return _decode_private(part)
