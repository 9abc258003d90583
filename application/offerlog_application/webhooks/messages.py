"""The messages of webhooks: an event as a CloudEvent, with an id that is the same at each attempt."""

import json
from datetime import datetime
from hashlib import sha256
from typing import Final

from offerlog_application.feed.cloud_events import CloudEvent, describe_event, make_source
from offerlog_application.feed.feed_event import FeedEvent, make_type
from offerlog_application.feed.kinds import format_instant

TEST_NAME: Final = "webhook-test"
"""The name of the kind of messages that only try an endpoint."""

_ID_DIGITS: Final = 32


def make_message_id(endpoint: str, event: FeedEvent) -> str:
    """Return the id of the message that takes an event to an endpoint; the same at each attempt.

    After a restore from a backup, another event may get the position of one that was lost. It has another
    time, and so another id.
    """
    recorded = "" if event.recorded_at is None else format_instant(event.recorded_at)
    text = "|".join([endpoint, str(event.position), event.subject, str(event.version), recorded])
    return f"msg_{sha256(text.encode()).hexdigest()[:_ID_DIGITS]}"


def encode_event(event: FeedEvent) -> str:
    """Return an event as the text of a CloudEvent, without what identifies the visitor."""
    return encode_message(describe_event(event))


def encode_message(message: CloudEvent) -> str:
    """Return a CloudEvent as text."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def make_test_message(endpoint: str, organization: str, message_id: str, now: datetime) -> CloudEvent:
    """Return the message that tries an endpoint. It is about no visitor-offer, and has no position."""
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": make_source(organization),
        "type": make_type(TEST_NAME),
        "time": format_instant(now),
        "datacontenttype": "application/json",
        "data": {"webhook": endpoint},
    }
