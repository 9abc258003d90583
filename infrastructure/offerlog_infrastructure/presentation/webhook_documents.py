"""Builders of answers about webhooks."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING

from offerlog_infrastructure.presentation.documents import format_optional_time, format_time, round_seconds

if TYPE_CHECKING:
    from offerlog_application.ports.webhooks import (
        WebhookDelivery,
        WebhookEndpoint,
        WebhookLag,
        WebhookResult,
    )
    from offerlog_application.webhooks.webhooks import NewWebhook, WatchedWebhook
    from offerlog_infrastructure.presentation import answers


def describe_webhook(one: WebhookEndpoint) -> answers.Webhook:
    """Describe an endpoint without its secret."""
    return {
        "id": one.id,
        "organization": one.organization,
        "url": one.url,
        "types": list(one.types),
        "action_maps": list(one.action_maps),
        "created_at": format_time(one.created_at),
        "cursor": str(one.position),
        "disabled_at": format_optional_time(one.disabled_at),
        "disabled_because": None if one.disabled_because is None else one.disabled_because.value,
        "resting_until": format_optional_time(one.resting_until),
        "failing_since": format_optional_time(one.failing_since),
        "delivered": one.delivered,
        "failed": one.failed,
        "given_up": one.given_up,
        "pending": one.pending,
        "dead_letters": one.dead_letters,
    }


def describe_webhook_lag(one: WebhookLag) -> answers.ListedWebhook:
    """Describe an endpoint with its lag."""
    return {
        **describe_webhook(one.endpoint),
        "lag_events": one.lag_events,
        "lag_seconds": round_seconds(one.lag_seconds),
    }


def describe_watched_webhook(one: WatchedWebhook) -> answers.ShownWebhook:
    """Describe an endpoint with its lag, and the events that could not be delivered."""
    return {
        **describe_webhook_lag(one.lag),
        "deliveries": [describe_delivery(two) for two in (*one.waiting, *one.dead_letters)],
    }


def describe_new_webhook(one: NewWebhook) -> answers.MadeWebhook:
    """Describe an endpoint with the secret that it has just got."""
    return {**describe_webhook(one.endpoint), "secret": one.secret}


def describe_delivery(one: WebhookDelivery) -> answers.WebhookDelivery:
    """Describe an event that was given up, or waits."""
    return {
        "webhook": one.endpoint,
        "id": str(one.position),
        "type": one.name,
        "visitor": one.visitor,
        "attempts": one.attempts,
        "next_attempt_at": format_time(one.next_attempt_at) if one.dead_at is None else None,
        "last_attempt_at": format_optional_time(one.last_attempt_at),
        "last_status": one.last_status,
        "last_error": one.last_error,
        "dead_at": format_optional_time(one.dead_at),
    }


def describe_attempt(one: WebhookResult) -> answers.WebhookAttempt:
    """Describe the result of an attempt to deliver."""
    return {
        "delivered": one.is_delivered,
        "status": one.status,
        "error": one.error or None,
        "seconds": round(one.seconds, 3),
    }
