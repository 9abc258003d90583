"""The stored encoding of an event: one MessagePack array of the public fields, and the sealed private fields.

A stored state is the array `[[public fields], sealed part]`. The sealed part is a byte string: the private
fields in MessagePack, sealed under the visitor's key. Ids are 16 bytes and times are MessagePack timestamps.
Fields have the order in which the classes of events define them. The last class of a kind may get one more
field with a default; any other change is a new stored version.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from offerlog_domain.event_fields import Event, PrivateFields

_encoder: Final = msgspec.msgpack.Encoder(uuid_format="bytes")

encode_private: Final[Callable[[PrivateFields], bytes]] = _encoder.encode
"""Encodes private fields, to be sealed."""

decode_private: Final[Callable[[bytes], PrivateFields]] = msgspec.msgpack.Decoder(PrivateFields).decode
"""Decodes opened private fields; raises `msgspec.MsgspecError` if the bytes are not private fields."""


def encode_event(event: Event, sealed: bytes) -> bytes:
    """Encode an event, without its stream, version and name."""
    return _encoder.encode((event, sealed))


@cache
def event_decoder(kind: type[Event]) -> Callable[[bytes], tuple[Event, bytes]]:
    """Return the function that decodes the public fields of one kind of event, and leaves the sealed part.

    The function raises `msgspec.MsgspecError` if the bytes are not such an event.
    """
    decode: Callable[[bytes], tuple[Event, bytes]]
    decode = msgspec.msgpack.Decoder(tuple[kind, bytes]).decode  # type: ignore[valid-type] # made at run time
    return decode
