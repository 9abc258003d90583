"""A page of the log, as projections get it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from offerlog_domain.event_fields import Fact
from offerlog_domain.events import LifecycleEvent


class Positioned(NamedTuple):
    """One fact and its position in the log."""

    position: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive facts of the log.

    Attributes:
        facts: In order of position.
        earlier: For every stream of the page that has an action beyond its first: all its lifecycle
            events so far, in order (they tell a repeated visitor from a new one).
    """

    facts: Sequence[Positioned]
    earlier: Mapping[UUID, Sequence[LifecycleEvent]] = field(default_factory=dict)


def streams_with_repeats(facts: Sequence[Positioned]) -> set[UUID]:
    """The streams whose earlier events a page needs."""
    return {
        p.fact.originator_id for p in facts if isinstance(p.fact, LifecycleEvent) and p.fact.action_number > 1
    }
