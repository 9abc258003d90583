"""The suppression list: the visitors to whom an action map must not offer again."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import LIFECYCLES, State


class SuppressionKey(NamedTuple):
    """One visitor x one action map of an organization."""

    organization: str
    visitor: VisitorKey
    action_map_id: UUID


class SuppressionRow(NamedTuple):
    """The reason: the terminal state, its action, and the time of that state (`occurred_at`)."""

    state: State
    action_id: UUID
    since: datetime


def suppressions(page: Page) -> Mapping[SuppressionKey, SuppressionRow]:
    """Return the pairs that a page adds. Nothing ever leaves the list."""
    added: dict[SuppressionKey, SuppressionRow] = {}
    for _, recorded in page.events:
        event = recorded.event
        if isinstance(event, LifecycleEvent) and event.state in LIFECYCLES[event.media_type].terminal:
            key = SuppressionKey(event.organization, recorded.private.visitor, event.action_map_id)
            added[key] = SuppressionRow(event.state, recorded.private.action_id, event.occurred_at)
    return added
