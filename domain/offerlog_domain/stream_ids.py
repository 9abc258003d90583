"""Ids of streams: a visitor's token, then a hash of the action map (RFC 9562, version 8).

A token stands for a visitor wherever the log is read. It is made when the visitor is seen first: the slice (4
bits), the second (32 bits) and chance (24 bits). So all streams of a visitor lie beside each other, in one
slice, and new ones come in the order of time. Nothing in a token comes from the visitor's identity but the
slice. A token takes 64 bits, with the version of the UUID among them, and is a signed number in stores.
"""

from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import convert

SLICES: Final = 16
"""Number of slices. All streams of a visitor lie in one."""

CHANCE_BITS: Final = 24
"""Random bits of a token."""

_VERSION: Final = 8 << 12
_VARIANT: Final = 8 << 60
"""The digit that says version 8, in the first half of a UUID, and the one for the variant, in the second."""

_TOKEN_BYTES: Final = 8
_FIRST_NEGATIVE: Final = 1 << 63
"""From here on, 64 bits are a negative number."""

_HALF_CHANCE: Final = (1 << CHANCE_BITS // 2) - 1
_LAST_SECOND: Final = (1 << 32) - 1


def make_token(visitor_digest: UUID, first_seen: datetime, chance: int) -> int:
    """Make the token of a new visitor.

    Args:
        visitor_digest: Its first digit is the slice.
        first_seen: The time at which the first event of the visitor is recorded, UTC. The seconds are those
            since 1970; an earlier time counts as 1970, one after 2106 as the last second of that period.
        chance: `CHANCE_BITS` random bits.
    """
    seconds = min(max(int(first_seen.timestamp()), 0), _LAST_SECOND)
    high, low = chance >> CHANCE_BITS // 2 & _HALF_CHANCE, chance & _HALF_CHANCE
    token = slice_of(visitor_digest) << 60 | seconds << 28 | high << 16 | _VERSION | low
    return token if token < _FIRST_NEGATIVE else token - 2 * _FIRST_NEGATIVE


def make_stream_id(token: int, action_map_id: UUID) -> UUID:
    """Return the id of the stream of one visitor x one action map. The function `stream_id` in SQL agrees."""
    head = token.to_bytes(_TOKEN_BYTES, "big", signed=True)
    digest = sha256(head + action_map_id.bytes).digest()
    tail = _VARIANT | int.from_bytes(digest[:8], "big") >> 4
    return convert(head + tail.to_bytes(8, "big"), UUID)


def token_of(stream: UUID) -> int:
    """Return the token of the visitor whose stream this is."""
    token = stream.int >> 64
    return token if token < _FIRST_NEGATIVE else token - 2 * _FIRST_NEGATIVE


def slice_of(name: UUID) -> int:
    """Return the slice of a stream or of a visitor's digest, from 0 to 15: its first hexadecimal digit."""
    return name.int >> 124
