"""The kinds of events in the feed, with the fields of their data: the contract for downstream systems.

One table is the source of the data of each event, of its JSON Schema and of the documents. Bookkeeping of
the service (parked signals, receipts, keys) is not in the feed: what a parked signal becomes is. A change of
a field that a reader would notice is a new version of the type.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from offerlog_application.feed.feed_event import UNREADABLE, FeedEvent
from offerlog_domain.event_fields import Event
from offerlog_domain.events import LIFECYCLE_EVENTS, LifecycleEvent, OfferRefused, Rejected
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.service_events import VisitorErased
from offerlog_domain.uuids import format_uuid

Schema = Mapping[str, object]

_TEXT: Final[Schema] = {"type": "string"}
_ID: Final[Schema] = {"type": "string", "format": "uuid"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_VISITOR: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{16}$"}


@dataclass(frozen=True, slots=True)
class DataField:
    """A field of the data of an event.

    Attributes:
        name: Its name in JSON.
        meaning: Its meaning, in a sentence for people.
        schema: The JSON Schema of its value.
        read: Reads the value from an event.
        identifies: True for a field that identifies somebody. It is there only for a reader who may see
            it, and absent once the visitor has been erased.
    """

    name: str
    meaning: str
    schema: Schema
    read: Callable[[FeedEvent], object]
    identifies: bool = False


@dataclass(frozen=True, slots=True)
class FeedKind:
    """A kind of events in the feed.

    Attributes:
        name: Its name, a part of the type.
        meaning: Its meaning, in a sentence for people.
        fields: The fields of its data.
        reaches_all: True for a kind that every reader of the organization gets, whatever the filter.
    """

    name: str
    meaning: str
    fields: tuple[DataField, ...]
    reaches_all: bool = False


def _public(name: str, meaning: str, schema: Schema) -> DataField:
    """Describe a field that the event has under the same name."""

    def read(one: FeedEvent) -> object:
        return _plain(getattr(one.event, name))

    return DataField(name, meaning, schema, read)


def _private(name: str, meaning: str, schema: Schema) -> DataField:
    """Describe a field of the private fields, of the same name."""

    def read(one: FeedEvent) -> object:
        return None if one.private is None else _plain(getattr(one.private, name))

    return DataField(name, meaning, schema, read, identifies=True)


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _plain(value: Any) -> object:
    """Return a value as JSON has it."""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, UUID):
        return format_uuid(value)
    return value.value if isinstance(value, StrEnum) else value


def format_instant(when: datetime) -> str:
    """Return a UTC time by RFC 3339, with Z."""
    return when.isoformat().replace("+00:00", "Z")


_WHOSE: Final = DataField(
    "visitor",
    "Pseudonym of the visitor: the same in all events of one visitor, and another after an erasure.",
    _VISITOR,
    lambda one: one.visitor,
)
_IDENTIFYING: Final = (
    DataField(
        "customer_id",
        "The visitor's id.",
        _TEXT,
        lambda one: one.identity and one.identity.id,
        identifies=True,
    ),
    DataField(
        "customer_id_type",
        "The type of that id, such as `cookie`.",
        _TEXT,
        lambda one: one.identity and one.identity.type,
        identifies=True,
    ),
    _private("session_id", "The visit.", _ID),
    _private("action_id", "The invitation.", _ID),
    _private("event_id", "The signal's own id, if it had one.", _ID),
    _private("error_code", "The vendor's error code, if there was an error.", _TEXT),
    _private("error_message", "The error in words, if there was one.", _TEXT),
)
_SIGNAL: Final = (
    _WHOSE,
    _public("action_map_id", "The action map.", _ID),
    _public("action_map_version", "Its version, if known.", _or_null({"type": "integer"})),
    _public("action_map_name", "Its display name, if known.", _or_null(_TEXT)),
    _public("media_type", "The vendor's media type.", _TEXT),
    _public(
        "dated", "False if the service's clock gave the time, as the signal had none.", {"type": "boolean"}
    ),
    _public("timeout_seconds", "The widget's time-out, if it reported one.", _or_null({"type": "integer"})),
)
_STATE: Final = (
    _public("state", "The state that the action reached.", {"type": "string", "enum": [*State]}),
    _public("action_number", "Number of the action in its visitor-offer, from 1.", {"type": "integer"}),
    _public("offered_at", "Time of the action's offer.", _TIME),
)
_STAGE: Final = _public(
    "stage", "Where the visitor turned the offer down.", {"type": "string", "enum": [*Stage]}
)
_REFUSED: Final = (
    _public("reason", "The reason of the refusal.", {"type": "string", "enum": [*Reason]}),
    _public("blocking_state", "State of the action that blocked.", {"type": "string", "enum": [*State]}),
    _public("blocking_since", "The time at which that action reached it.", _TIME),
    _private("blocking_action_id", "The action that blocked.", _ID),
)


def _lifecycle_kind(kind: type[LifecycleEvent]) -> FeedKind:
    stage = (_STAGE,) if kind is Rejected else ()
    fields = (*_SIGNAL, *_STATE, *stage, *_IDENTIFYING)
    return FeedKind(str(kind.stored_name), _first_line(kind), fields)


def _first_line(kind: type[Event]) -> str:
    return (kind.__doc__ or "").split("\n", 1)[0]


KINDS: Final[Mapping[type[Event], FeedKind]] = {
    **{kind: _lifecycle_kind(kind) for kind in LIFECYCLE_EVENTS.values()},
    OfferRefused: FeedKind(
        OfferRefused.stored_name,
        "An offer was refused because an earlier action blocks it.",
        (*_SIGNAL, *_REFUSED, *_IDENTIFYING),
    ),
    VisitorErased: FeedKind(
        VisitorErased.stored_name,
        "The visitor was erased: delete what you hold of this pseudonym (GDPR, article 19).",
        (_WHOSE,),
        reaches_all=True,
    ),
}
"""The kinds of events in the feed, by the class of the event."""

DAMAGED: Final = FeedKind(
    UNREADABLE,
    "A damaged event, of which only the place in the log is known.",
    (),
    reaches_all=True,
)

KINDS_BY_NAME: Final[Mapping[str, FeedKind]] = {kind.name: kind for kind in (*KINDS.values(), DAMAGED)}
"""The kinds by name, damaged events included."""
