"""Events of the feed as CloudEvents 1.0, in the JSON format."""

from typing import Final

from offerlog_application.feed.feed_event import FeedEvent
from offerlog_application.feed.kinds import KINDS_BY_NAME, format_instant

CloudEvent = dict[str, object]
"""A CloudEvent, ready for JSON."""

_SEQUENCE_DIGITS: Final = 10
"""Digits of `sequence`, which must sort as text (CloudEvents, extension "sequence")."""


def make_source(organization: str) -> str:
    """Return the CloudEvents source of an organization's events."""
    return f"urn:offerlog:{organization}"


def describe_event(one: FeedEvent) -> CloudEvent:
    """Return an event as a CloudEvent.

    `id` is the position, `subject` the visitor-offer, `sequence` the place in its stream, `time` the time at
    which it happened, and `recordedtime` the time at which the service recorded it.
    """
    described: CloudEvent = {
        "specversion": "1.0",
        "id": str(one.position),
        "source": make_source(one.organization),
        "type": one.type,
        "subject": one.subject,
        "sequence": f"{one.version:0{_SEQUENCE_DIGITS}d}",
    }
    if one.occurred_at is not None:
        described["time"] = format_instant(one.occurred_at)
    if one.recorded_at is not None:
        described["recordedtime"] = format_instant(one.recorded_at)
    described["datacontenttype"] = "application/json"
    described["data"] = _describe_data(one)
    return described


def _describe_data(one: FeedEvent) -> dict[str, object]:
    data = {}
    for field in KINDS_BY_NAME[one.name].fields:
        value = field.read(one)
        if value is not None or not field.identifies:
            data[field.name] = value
    return data
