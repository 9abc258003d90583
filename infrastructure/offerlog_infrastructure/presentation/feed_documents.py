"""Builders of answers about the feed and its subscriptions."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING

from offerlog_infrastructure.presentation.documents import format_optional_time, format_time, round_seconds

if TYPE_CHECKING:
    from offerlog_application.ports.subscriptions import Subscription
    from offerlog_infrastructure.presentation import answers


def describe_subscription(one: Subscription) -> answers.Subscription:
    """Describe a subscription with its lag."""
    return {
        "name": one.name,
        "cursor": str(one.position),
        "created_at": format_time(one.created_at),
        "moved_at": format_optional_time(one.moved_at),
        "lag_events": one.lag_events,
        "lag_seconds": round_seconds(one.lag_seconds),
    }
