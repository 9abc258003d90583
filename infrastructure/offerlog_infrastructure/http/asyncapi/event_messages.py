"""Messages and schemas of the events of the feed, made from the table of their kinds.

Whatever sends these events describes them with these messages.
"""

from collections.abc import Mapping
from typing import Any, Final

from offerlog_application.feed.cloud_events import describe_event
from offerlog_application.feed.feed_event import make_type
from offerlog_application.feed.kinds import KINDS_BY_NAME, FeedKind
from offerlog_infrastructure.http.asyncapi.example_events import make_example
from offerlog_infrastructure.http.asyncapi.part import refer

Schema = dict[str, Any]

CONTENT_TYPE: Final = "application/cloudevents+json"
"""The media type of one event."""

_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_ENVELOPE: Final[dict[str, Schema]] = {
    "specversion": {"const": "1.0"},
    "id": {
        "type": "string",
        "pattern": "^[0-9]+$",
        "description": "Position of the event in the log; also a cursor.",
    },
    "source": {"type": "string", "format": "uri-reference", "description": "The organization."},
    "type": {"type": "string"},
    "subject": {
        "type": "string",
        "format": "uuid",
        "description": "The visitor-offer; of an erasure, the visitor.",
    },
    "sequence": {
        "type": "string",
        "pattern": "^[0-9]{10}$",
        "description": "Place of the event in its visitor-offer. Some places have no event here.",
    },
    "time": {**_TIME, "description": "Time at which it happened."},
    "recordedtime": {**_TIME, "description": "Time at which the service recorded it."},
    "datacontenttype": {"const": "application/json"},
    "data": {"type": "object"},
}
_WITHOUT_TIMES: Final = [name for name in _ENVELOPE if name not in {"time", "recordedtime"}]


def build_messages() -> Mapping[str, Any]:
    """Build the message of each kind of events, by the name of the kind."""
    return {
        name: {
            "name": make_type(name),
            "title": name,
            "summary": kind.meaning,
            "contentType": CONTENT_TYPE,
            "payload": refer("components/schemas", name),
            "examples": [
                {
                    "name": shown,
                    "payload": describe_event(make_example(name, identified=shown == "identified")),
                }
                for shown in (("thin", "identified") if _identifies(kind) else ("thin",))
            ],
        }
        for name, kind in KINDS_BY_NAME.items()
    }


def build_event_schemas() -> Mapping[str, Schema]:
    """Build the JSON Schema of each kind of events, by the name of the kind."""
    return {name: _build_schema(kind) for name, kind in KINDS_BY_NAME.items()}


def _build_schema(kind: FeedKind) -> Schema:
    is_dated = bool(kind.fields)  # of a damaged event, nothing is known
    return {
        "type": "object",
        "description": kind.meaning,
        "required": list(_ENVELOPE) if is_dated else _WITHOUT_TIMES,
        "properties": {
            **_ENVELOPE,
            "type": {"const": make_type(kind.name)},
            "data": {
                "type": "object",
                "required": [field.name for field in kind.fields if not field.identifies],
                "properties": {
                    field.name: {**field.schema, "description": field.meaning} for field in kind.fields
                },
            },
        },
    }


def _identifies(kind: FeedKind) -> bool:
    return any(field.identifies for field in kind.fields)
