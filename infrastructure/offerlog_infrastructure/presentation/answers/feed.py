"""Answers about the feed: CloudEvents and subscriptions."""

from typing import Any, Literal, NotRequired, TypedDict

from offerlog_infrastructure.presentation.json_types import Count, Seconds, Time


class CloudEvent(TypedDict):
    """Event of the feed (CloudEvents 1.0).

    Attributes:
        specversion: Always `1.0`.
        id: Position of the event; also a cursor.
        source: `urn:offerlog:` and the organization.
        type: Kind of the event, and the version of its data.
        subject: The visitor-offer; of an erasure, the visitor.
        sequence: Place of the event in its visitor-offer, in ten digits.
        time: Time at which it happened.
        recordedtime: Time at which the service recorded it.
        datacontenttype: Always `application/json`.
        data: Fields of the event; `asyncapi.json` has their schemas.
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    sequence: str
    time: NotRequired[Time]
    recordedtime: NotRequired[Time]
    datacontenttype: Literal["application/json"]
    data: dict[str, Any]


class Subscription(TypedDict):
    """Cursor of a reader of the feed, with its lag.

    Attributes:
        name: Name of the subscription.
        cursor: Everything up to it has been acknowledged.
        created_at: Time at which it was made.
        moved_at: Time of the last acknowledgement; null if there was none.
        lag_events: Number of events of the log behind the cursor; a number of positions above 10,000.
        lag_seconds: Age of the oldest of them; 0 without any, null where this build cannot read that event.
    """

    name: str
    cursor: str
    created_at: Time
    moved_at: Time | None
    lag_events: Count
    lag_seconds: Seconds | None


class Subscriptions(TypedDict):
    """Subscriptions of an organization.

    Attributes:
        subscriptions: Sorted by name.
    """

    subscriptions: list[Subscription]


class DeletedSubscription(TypedDict):
    """A subscription that was deleted.

    Attributes:
        deleted: Its name.
    """

    deleted: str
