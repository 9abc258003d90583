"""Values of the replica's file: a visitor's encrypted key, and a record for each suppressed action map.

Nothing in it says who the visitor is. The action id of a suppression is sealed under the visitor's key, as it
is in the store.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.projections.suppression import SuppressionRow
from offerlog_domain.events import LIFECYCLE_EVENTS
from offerlog_domain.lifecycle import State
from offerlog_domain.stream_ids import make_stream_id
from offerlog_infrastructure.postgres.log.visitors import place_in_stream

_HEAD: Final = struct.Struct(">qhH")
"""The head of a value: token, number of the key that encrypts the visitor's, and bytes of the latter."""

_RECORD: Final = struct.Struct(">16sqBBH")
"""A record: action map, microseconds since 1970, number of the state, bytes of place and sealed part."""

_STATES: Final = tuple(State)
_NUMBER: Final = {state.value: number for number, state in enumerate(_STATES)}
_KINDS: Final = {state.value: event.stored_name.encode() for state, event in LIFECYCLE_EVENTS.items()}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class VisitorHead(NamedTuple):
    """The row of a visitor in the store, without the names.

    Attributes:
        token: Stands for the visitor in the log.
        kek: The number of the key that encrypts `wrapped_key`.
        wrapped_key: The visitor's key, encrypted.
    """

    token: int
    kek: int
    wrapped_key: bytes

    def pack(self) -> bytes:
        """Return the head as the beginning of a value."""
        return _HEAD.pack(self.token, self.kek, len(self.wrapped_key)) + self.wrapped_key


class SuppressionRecord(NamedTuple):
    """One suppressed action map of a visitor.

    Attributes:
        action_map: The 16 bytes of the action map's id.
        state: The terminal state.
        since: The time at which the action reached it.
        place: The place in the log to which `sealed` is bound.
        sealed: The private fields of the event that says so.
    """

    action_map: bytes
    state: State
    since: datetime
    place: bytes
    sealed: bytes


class SuppressedVisitor(NamedTuple):
    """A visitor with the suppressed action maps; none is left after new offers of all of them.

    Attributes:
        kek: The number of the key that encrypts `wrapped_key`.
        wrapped_key: The visitor's key, encrypted.
        records: The suppressed action maps, sorted.
    """

    kek: int
    wrapped_key: bytes
    records: Sequence[SuppressionRecord]


def pack_record(token: int, action_map_id: UUID, row: SuppressionRow) -> bytes:
    """Return a record as a part of a value."""
    place = place_in_stream(make_stream_id(token, action_map_id), row.version, _KINDS[row.state])
    microseconds = (row.since - _EPOCH) // _MICROSECOND
    fields = action_map_id.bytes, microseconds, _NUMBER[row.state], len(place), len(row.sealed)
    return _RECORD.pack(*fields) + place + row.sealed


def add_record(value: bytes | None, head: VisitorHead, record: bytes) -> bytes:
    """Return a value with one more record, or as it is if it has that record already.

    Args:
        value: The value so far. It counts for nothing if it has another token: that visitor was erased.
        head: The visitor.
        record: The record.
    """
    if value is None or head_of(value).token != head.token:
        return head.pack() + record
    return value if record in _split(value) else value + record


def remove_record(value: bytes | None, token: int, action_map_id: UUID) -> bytes | None:
    """Return a value without the record of an action map.

    The head stays without any record, so that an erasure of the visitor finds the value.

    Args:
        value: The value so far; None where there is none.
        token: The visitor. A value with another token stays as it is.
        action_map_id: The action map.
    """
    if value is None or head_of(value).token != token:
        return value
    kept = [one for one in _split(value) if not one.startswith(action_map_id.bytes)]
    return head_of(value).pack() + b"".join(kept)


def head_of(value: bytes) -> VisitorHead:
    """Return the head of a value."""
    token, kek, length = _HEAD.unpack_from(value)
    return VisitorHead(token, kek, value[_HEAD.size : _HEAD.size + length])


def replace_head(value: bytes, head: VisitorHead) -> bytes:
    """Return a value with another head."""
    return head.pack() + value[len(head_of(value).pack()) :]


def unpack(value: bytes) -> SuppressedVisitor:
    """Return what a value says."""
    _, kek, length = _HEAD.unpack_from(value)
    start = _HEAD.size + length
    wrapped_key = value[_HEAD.size : start]
    records: list[SuppressionRecord] = []
    while start < len(value):
        action_map, since, state, place_length, sealed_length = _RECORD.unpack_from(value, start)
        place_at = start + _RECORD.size
        sealed_at = place_at + place_length
        start = sealed_at + sealed_length
        records.append(
            SuppressionRecord(
                action_map,
                _STATES[state],
                _EPOCH + since * _MICROSECOND,
                value[place_at:sealed_at],
                value[sealed_at:start],
            )
        )
    if len(records) > 1:
        records.sort()
    return SuppressedVisitor(kek, wrapped_key, records)


def _split(value: bytes) -> Sequence[bytes]:
    """Return the records of a value, as they are stored."""
    records: list[bytes] = []
    start = len(head_of(value).pack())
    while start < len(value):
        *_, place_length, sealed_length = _RECORD.unpack_from(value, start)
        end = start + _RECORD.size + place_length + sealed_length
        records.append(value[start:end])
        start = end
    return records
