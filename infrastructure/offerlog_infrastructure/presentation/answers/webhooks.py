"""Answers about webhooks."""

from typing import Annotated, TypedDict

from msgspec import Meta

from offerlog_application.ports.webhooks import DisableReason
from offerlog_infrastructure.presentation.json_types import Count, Seconds, Time, Uuid

_Reason = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in DisableReason]})]


class Webhook(TypedDict):
    """An address to which events are sent, without its secret.

    Attributes:
        id: Its id.
        organization: The organization.
        url: The address.
        types: Names of the kinds of events that it gets; empty for all. The erasure of a visitor comes in any
            case.
        action_maps: Ids of the action maps whose events it gets; empty for all.
        created_at: The time at which it was made.
        cursor: Each event up to this position was delivered, or waits, or was given up. Over several servers,
            it has a part for each.
        disabled_at: The time at which it was disabled; null while it is enabled.
        disabled_because: The reason; null while it is enabled.
        resting_until: Nothing is sent before this time; null if it does not rest.
        failing_since: The time of the first failure since the last delivery; null without one.
        delivered: Number of events that were delivered.
        failed: Number of attempts that failed.
        given_up: Number of events that were given up.
        pending: Number of events that wait for another attempt.
        dead_letters: Number of events that were given up and not sent again since.
    """

    id: str
    organization: str
    url: str
    types: list[str]
    action_maps: list[Uuid]
    created_at: Time
    cursor: str
    disabled_at: Time | None
    disabled_because: _Reason | None
    resting_until: Time | None
    failing_since: Time | None
    delivered: Count
    failed: Count
    given_up: Count
    pending: Count
    dead_letters: Count


class ListedWebhook(Webhook):
    """An address to which events are sent, with its lag.

    Attributes:
        lag_events: Number of events of the log behind the cursor; a number of positions above 10,000.
        lag_seconds: Age of the oldest of them; 0 without any. Null where this build cannot read that event,
            and while one of several servers does not answer; `lag_events` is without it then.
    """

    lag_events: Count
    lag_seconds: Seconds | None


class WebhookDelivery(TypedDict):
    """An event that could not be delivered: it waits for another attempt, or was given up.

    Attributes:
        webhook: The webhook.
        id: The position of the event.
        type: The name of its kind.
        visitor: The pseudonym of its visitor.
        attempts: Number of attempts; 0 while it waits behind another event of the visitor.
        next_attempt_at: No attempt is made before this time; null for an event that was given up.
        last_attempt_at: The time of the last attempt; null without one.
        last_status: The HTTP status of the last answer; null if there was none.
        last_error: The trouble of the last attempt; null without one.
        dead_at: The time at which it was given up; null while it waits.
    """

    webhook: str
    id: str
    type: str
    visitor: str
    attempts: Count
    next_attempt_at: Time | None
    last_attempt_at: Time | None
    last_status: Count | None
    last_error: str | None
    dead_at: Time | None


class ShownWebhook(ListedWebhook):
    """An address to which events are sent, with its lag and the events that could not be delivered.

    Attributes:
        deliveries: Events that wait for another attempt, then those that were given up; the first hundred of
            each, by position.
    """

    deliveries: list[WebhookDelivery]


class MadeWebhook(Webhook):
    """A webhook with a secret that it has just got.

    Attributes:
        secret: The secret for its receiver, `whsec_...`. No later answer shows it.
    """

    secret: str


class Webhooks(TypedDict):
    """The webhooks of an organization.

    Attributes:
        webhooks: Each webhook in the order in which they were made.
    """

    webhooks: list[ListedWebhook]


class WebhookAttempt(TypedDict):
    """The result of a test message.

    Attributes:
        delivered: True if the receiver took it: an answer from 200 to 299.
        status: The HTTP status of its answer; null if there was none.
        error: The trouble; null if it was delivered.
        seconds: Seconds that the attempt took.
    """

    delivered: bool
    status: Count | None
    error: str | None
    seconds: Seconds


class DeadLetters(TypedDict):
    """Events that were given up for a webhook.

    Attributes:
        dead_letters: The first thousand, by position.
    """

    dead_letters: list[WebhookDelivery]


class WaitingAgain(TypedDict):
    """Dead letters that wait for an attempt again.

    Attributes:
        webhook: The webhook.
        waiting: Their number.
    """

    webhook: str
    waiting: Count


class DeletedWebhook(TypedDict):
    """A webhook that was deleted.

    Attributes:
        deleted: Its id.
    """

    deleted: str
