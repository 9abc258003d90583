"""The suppression list: the visitors to whom an action map must not offer again.

A row says which terminal state the newest action reached, and when. Until when it suppresses the offer is
found when the list is read, by the policy of the map that is in force then (docs/decisions/0054).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_domain.events import LifecycleEvent, Offered
from offerlog_domain.lifecycle import LIFECYCLES, State
from offerlog_domain.service_events import VisitorErased
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


@dataclass(frozen=True, slots=True)
class SuppressionChange:
    """The pairs that a page adds, those that get a new offer, and the visitors whose pairs go.

    Attributes:
        added: The new pairs. None of them is of a visitor in `erased`.
        erased: Tokens of visitors who were erased.
        offered_again: Pairs with a new action after the first one. Whatever row they had goes, before the
            new pairs are added.
    """

    added: Mapping[SuppressionKey, SuppressionRow]
    erased: Collection[int] = frozenset()
    offered_again: Collection[SuppressionKey] = frozenset()


def suppressions(page: Page) -> SuppressionChange:
    """Return the change that a page makes.

    A pair leaves the list with the erasure of its visitor, or with a new offer after a cool-down.
    """
    added: dict[SuppressionKey, SuppressionRow] = {}
    erased: set[int] = set()
    offered_again: set[SuppressionKey] = set()
    for _, recorded in page.events:
        event = recorded.event
        if isinstance(event, LifecycleEvent):
            if event.state in LIFECYCLES[event.media_type].terminal:
                key = SuppressionKey(token_of(recorded.originator_id), event.action_map_id)
                added[key] = SuppressionRow(
                    event.organization,
                    event.state,
                    event.occurred_at,
                    recorded.originator_version,
                    recorded.sealed,
                )
            elif event.action_number > 1 and isinstance(event, Offered):
                key = SuppressionKey(token_of(recorded.originator_id), event.action_map_id)
                added.pop(key, None)
                offered_again.add(key)
        elif isinstance(event, VisitorErased):
            erased.add(token_of(recorded.originator_id))
    if erased:  # in whatever order the page has them: no event of a visitor comes after `VisitorErased`
        added = {key: row for key, row in added.items() if key.visitor not in erased}
    return SuppressionChange(added, erased, offered_again)
