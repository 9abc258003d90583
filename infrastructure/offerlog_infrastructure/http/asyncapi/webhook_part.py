"""The part of the AsyncAPI document about webhooks."""

from datetime import UTC, datetime
from typing import Any, Final

from offerlog_application.feed.feed_event import make_type
from offerlog_application.webhooks.messages import TEST_NAME, make_test_message
from offerlog_infrastructure.http.asyncapi.event_messages import CONTENT_TYPE, build_messages
from offerlog_infrastructure.http.asyncapi.part import Part, refer

_CHANNEL: Final = "webhooks"
_TEXT: Final[dict[str, Any]] = {"type": "string"}

_HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Headers of every message, by the Standard Webhooks specification.",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {
            "type": "string",
            "pattern": "^msg_[0-9a-f]{32}$",
            "description": "The same at each attempt for this event and webhook: skip one that you have.",
        },
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Time of the attempt, in Unix seconds.",
        },
        "webhook-signature": {
            "type": "string",
            "description": "Signatures `v1,` with HMAC-SHA256 in base64, separated by spaces: two while a"
            " secret is rotated.",
        },
    },
}
_TEST_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A test of a webhook: answer it, and do nothing else.",
    "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _TEXT,
        "source": {"type": "string", "format": "uri-reference"},
        "type": {"const": make_type(TEST_NAME)},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object", "required": ["webhook"], "properties": {"webhook": _TEXT}},
    },
}


def build_webhook_part() -> Part:
    """Build the part: one channel, with the messages of the feed and a test message."""
    example = make_test_message(
        "wh_0a1b2c3d4e5f6071", "default", "msg_" + "3" * 32, datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    )
    names = [*build_messages(), TEST_NAME]
    return Part(
        channels={
            _CHANNEL: {
                "address": None,
                "title": "Webhooks",
                "description": "Each event is sent to the address of a webhook, by POST and one at a time."
                " Events of one visitor come in order. An answer from 200 to 299 takes the event; after"
                " any other one it is sent again.",
                "servers": [refer("servers", "receiver")],
                "messages": {name: refer("components/messages", name) for name in names},
            }
        },
        operations={
            "sendWebhook": {
                "action": "send",
                "channel": refer("channels", _CHANNEL),
                "summary": "One event, signed by the Standard Webhooks specification.",
                "description": "The body is the event. The headers are those of the schema"
                " `webhookHeaders`; the signature is that of `webhook-id.webhook-timestamp.body`.",
                "messages": [refer(f"channels/{_CHANNEL}/messages", name) for name in names],
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            }
        },
        messages={
            TEST_NAME: {
                "name": make_type(TEST_NAME),
                "title": TEST_NAME,
                "summary": _TEST_SCHEMA["description"],
                "contentType": CONTENT_TYPE,
                "headers": refer("components/schemas", "webhookHeaders"),
                "payload": refer("components/schemas", TEST_NAME),
                "examples": [{"name": "test", "payload": example}],
            }
        },
        schemas={"webhookHeaders": _HEADERS, TEST_NAME: _TEST_SCHEMA},
    )
