"""A page of the log, as projections take it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import EventBeforeOffer, LifecycleEvent


class Positioned(NamedTuple):
    """One event and its position in the log."""

    position: int
    recorded: SealedEvent[Event]


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive events of the log.

    Attributes:
        events: In order of position.
        earlier: For every stream of the page that has an action beyond its first: all its lifecycle
            events so far, in order (they tell a repeated visitor from a new one).
    """

    events: Sequence[Positioned]
    earlier: Mapping[UUID, Sequence[SealedEvent[LifecycleEvent]]] = field(default_factory=dict)


def streams_with_repeats(events: Sequence[Positioned]) -> set[UUID]:
    """Return the streams whose earlier events a page needs."""
    return {
        recorded.originator_id
        for _, recorded in events
        if isinstance(recorded.event, LifecycleEvent) and may_repeat(recorded, recorded.event)
    }


def may_repeat(recorded: SealedEvent[Event], event: LifecycleEvent) -> bool:
    """Return True if the visitor-offer may have reached the state of an event before."""
    return event.action_number > 1 or (
        recorded.originator_version > 1 and isinstance(event, EventBeforeOffer)
    )
