"""The part of the AsyncAPI document about the feed, `GET /v1/events`."""

from typing import Any, Final

from offerlog_infrastructure.http.asyncapi.event_messages import build_event_schemas, build_messages
from offerlog_infrastructure.http.asyncapi.part import Part, refer
from offerlog_infrastructure.http.requests.feed_parameters import MOST_EVENTS_OF_A_BATCH, MOST_WAIT_MS

_CHANNEL: Final = "feed"

_QUERY: Final[dict[str, Any]] = {
    "lastEventId": {"type": "string", "description": "A cursor, the id of an event, or `latest`."},
    "timeout": {
        "type": "integer",
        "minimum": 0,
        "maximum": MOST_WAIT_MS,
        "description": "Milliseconds to wait for an event.",
    },
    "type": {"type": "array", "items": {"type": "string"}, "description": "Only these types."},
    "action_map": {
        "type": "array",
        "items": {"type": "string", "format": "uuid"},
        "description": "Only events of these action maps.",
    },
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_EVENTS_OF_A_BATCH},
    "identified": {"type": "boolean", "description": "For the roles events and admin alone."},
    "subscription": {"type": "string", "description": "Begin at the cursor of this subscription."},
}


def build_feed_part() -> Part:
    """Build the part: one channel, with a message for each kind of events."""
    messages = build_messages()
    return Part(
        channels={
            _CHANNEL: {
                "address": "/v1/events",
                "title": "The feed",
                "description": "Events by position. Each comes once and in order to a reader that goes on"
                " from the cursor of the answer before.",
                "servers": [refer("servers", "service")],
                "messages": {name: refer("components/messages", name) for name in messages},
            }
        },
        operations={
            "readFeed": {
                "action": "send",
                "channel": refer("channels", _CHANNEL),
                "summary": "Events in batches with long poll (HTTP Feeds), or as Server-Sent Events.",
                "description": "A batch is `application/cloudevents-batch+json`: an array of these messages."
                " A stream has one message in the `data` of each event.",
                "security": [refer("components/securitySchemes", "key")],
                "messages": [refer(f"channels/{_CHANNEL}/messages", name) for name in messages],
                "bindings": {
                    "http": {
                        "method": "GET",
                        "query": {"type": "object", "properties": _QUERY},
                        "bindingVersion": "0.3.0",
                    }
                },
            }
        },
        messages=messages,
        schemas=build_event_schemas(),
    )
