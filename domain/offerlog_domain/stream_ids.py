"""Ids of streams: a visitor's token, then a hash of the action map (RFC 9562, version 8).

A token stands for a visitor wherever the log is read. It is made when the visitor is seen first: the slice (4
bits), the second (32 bits) and chance (24 bits). So all streams of a visitor lie beside each other, in one
slice, and new ones come in the order of time. Nothing in a token comes from the visitor's identity but the
slice. A token takes 64 bits, with the version of the UUID among them, and is a signed number in stores.

A visitor and an organization also have one stream each, for events that belong to no visitor-offer
(see `service_events`). Its id is made with the nil UUID in place of the action map. An organization has a
token for this purpose: its second is 0, which no visitor's token has. With an action map in its place, the
token of an organization gives the stream of that map, which has the map's policies. With the random id of a
writer in its place, it gives the stream of the tallies that this writer counts for the organization.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import convert

SLICES: Final = 16
"""Number of slices. All streams of a visitor lie in one."""

SLICES_BY_TOKEN: Final = (*range(SLICES // 2, SLICES), *range(SLICES // 2))
"""The slices in the order of their tokens: those of the second half are negative numbers."""

ALL_SLICES: Final = frozenset(range(SLICES))
"""The slices of a store that is the only one."""

CHANCE_BITS: Final = 24
"""Random bits of a token."""

NO_ACTION_MAP: Final = UUID(int=0)
"""Stands for the action map in the id of a visitor's own stream, and of an organization's."""

ALL_TOKENS: Final = (-(1 << 63), (1 << 63) - 1)
"""A number that no token is below, and one that no token is above."""

_VERSION: Final = 8 << 12
_VARIANT: Final = 8 << 60
"""The digit that says version 8, in the first half of a UUID, and the one for the variant, in the second."""

_TOKEN_BYTES: Final = 8
_FIRST_NEGATIVE: Final = 1 << 63
"""From here on, 64 bits are a negative number."""

_LAST_HALF: Final = (1 << 64) - 1
_HALF_CHANCE: Final = (1 << CHANCE_BITS // 2) - 1
_LAST_SECOND: Final = (1 << 32) - 1


def make_token(visitor_digest: UUID, first_seen: datetime, chance: int) -> int:
    """Make the token of a new visitor.

    Args:
        visitor_digest: Its first digit is the slice.
        first_seen: The time at which the first event of the visitor is recorded, UTC. The seconds are those
            since 1970; an earlier time counts as the first second after its beginning, one after 2106 as the
            last second of that period.
        chance: `CHANCE_BITS` random bits.
    """
    seconds = min(max(int(first_seen.timestamp()), 1), _LAST_SECOND)
    return _pack_token(slice_of(visitor_digest), seconds, chance)


def make_organization_token(organization: str) -> int:
    """Return the token of an organization, for the id of its own stream.

    Slice and chance are the first 28 bits of SHA-256 of "organization" and the name. So two organizations may
    share a stream, once in 268 million pairs: a reader looks at the organization of each event.
    """
    digest = sha256(b"organization" + organization.encode()).digest()
    bits = int.from_bytes(digest[:4], "big") >> 4
    return _pack_token(bits >> CHANCE_BITS, 0, bits & (1 << CHANCE_BITS) - 1)


def _pack_token(slice_number: int, seconds: int, chance: int) -> int:
    high, low = chance >> CHANCE_BITS // 2 & _HALF_CHANCE, chance & _HALF_CHANCE
    token = slice_number << 60 | seconds << 28 | high << 16 | _VERSION | low
    return token if token < _FIRST_NEGATIVE else token - 2 * _FIRST_NEGATIVE


def make_visitor_stream_id(token: int) -> UUID:
    """Return the id of a visitor's own stream."""
    return make_stream_id(token, NO_ACTION_MAP)


def make_organization_stream_id(organization: str) -> UUID:
    """Return the id of an organization's own stream."""
    return make_stream_id(make_organization_token(organization), NO_ACTION_MAP)


def make_action_map_stream_id(organization: str, action_map_id: UUID) -> UUID:
    """Return the id of the stream that an action map of an organization has for its policies."""
    return make_stream_id(make_organization_token(organization), action_map_id)


def make_tally_stream_id(organization: str, writer: UUID) -> UUID:
    """Return the id of the stream in which a writer counts the blocked offers of an organization.

    Args:
        organization: The tenant.
        writer: A random id that no other writer has.
    """
    return make_stream_id(make_organization_token(organization), writer)


def stream_bounds(token: int) -> tuple[UUID, UUID]:
    """Return the lowest and the highest id that a stream of a visitor can have."""
    head = token % (2 * _FIRST_NEGATIVE) << 64
    return UUID(int=head), UUID(int=head | _LAST_HALF)


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


def is_of_visitor(stream: UUID) -> bool:
    """Return True if a stream is of a visitor: the token of any other one has the second 0."""
    return token_of(stream) >> 28 & _LAST_SECOND != 0


def tokens_since(instant: datetime) -> list[tuple[int, int]]:
    """Return the lowest and the highest token of visitors first seen since a time, slice by slice.

    Args:
        instant: The time, UTC; a whole second counts.
    """
    second = min(max(int(instant.timestamp()), 1), _LAST_SECOND)
    last = (1 << CHANCE_BITS) - 1
    return [(_pack_token(one, second, 0), _pack_token(one, _LAST_SECOND, last)) for one in range(SLICES)]


def tokens_of_slice(number: int) -> tuple[int, int]:
    """Return the lowest and the highest token of a slice."""
    low = number << 60
    if low >= _FIRST_NEGATIVE:
        low -= 2 * _FIRST_NEGATIVE
    return low, low | (1 << 60) - 1


def first_seen_of(token: int) -> datetime:
    """Return the second at which a visitor was recorded first, in UTC, as the token has it."""
    return datetime.fromtimestamp(token >> 28 & _LAST_SECOND, UTC)


def slice_of(name: UUID) -> int:
    """Return the slice of a stream or of a visitor's digest, from 0 to 15: its first hexadecimal digit."""
    return name.int >> 124


def format_slices(slices: Collection[int]) -> str:
    """Return slices as a text: their hexadecimal digits, with spans, such as `0,3,a-c`; `-` for none."""
    parts: list[list[int]] = []
    for one in sorted(slices):
        if parts and parts[-1][-1] == one - 1:
            parts[-1].append(one)
        else:
            parts.append([one])
    return ",".join(f"{part[0]:x}" + (f"-{part[-1]:x}" if part[1:] else "") for part in parts) or "-"
