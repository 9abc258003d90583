"""The suppression list: which visitors must not be offered which maps, as an earlier action has ended."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.lifecycle import LIFECYCLES, State


class SuppressionKey(NamedTuple):
    """One visitor x one action map."""

    organization: str
    customer_id_type: bytes
    customer_id: bytes
    action_map_id: str


class SuppressionRow(NamedTuple):
    """Why: the terminal state, of which action, since when (`occurred_at`)."""

    state: State
    action_id: str
    since: datetime


def suppressions(page: Page) -> Mapping[SuppressionKey, SuppressionRow]:
    """The pairs that a page adds; nothing ever leaves the list."""
    added: dict[SuppressionKey, SuppressionRow] = {}
    for _, event in page.events:
        if isinstance(event, LifecycleEvent) and event.state in LIFECYCLES[event.media_type].terminal:
            visitor = event.visitor
            key = SuppressionKey(
                event.organization,
                visitor.customer_id_type.encode(),
                visitor.customer_id.encode(),
                event.action_map_id,
            )
            added[key] = SuppressionRow(event.state, event.action_id, event.occurred_at)
    return added
