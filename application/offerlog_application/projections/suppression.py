"""The suppression list: the visitors to whom an action map must not offer again."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.lifecycle import LIFECYCLES, State
from offerlog_domain.stream_ids import token_of


class SuppressionKey(NamedTuple):
    """One visitor x one action map. The visitor is known by the token (see `stream_ids`)."""

    visitor: int
    action_map_id: UUID


class SuppressionRow(NamedTuple):
    """The reason: the terminal state, and the time of that state (`occurred_at`).

    Attributes:
        organization: The tenant.
        state: The terminal state.
        since: The time at which the action reached it.
        version: The place in the stream of the event that says so.
        sealed: The private fields of that event, the action id among them. A read opens them.
    """

    organization: str
    state: State
    since: datetime
    version: int
    sealed: bytes


def suppressions(page: Page) -> Mapping[SuppressionKey, SuppressionRow]:
    """Return the pairs that a page adds. Nothing ever leaves the list."""
    added: dict[SuppressionKey, SuppressionRow] = {}
    for _, recorded in page.events:
        event = recorded.event
        if isinstance(event, LifecycleEvent) and event.state in LIFECYCLES[event.media_type].terminal:
            key = SuppressionKey(token_of(recorded.originator_id), event.action_map_id)
            added[key] = SuppressionRow(
                event.organization,
                event.state,
                event.occurred_at,
                recorded.originator_version,
                recorded.sealed,
            )
    return added
