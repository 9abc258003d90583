"""Action Map Performance: counts by map and quarter-hour, by event and by cohort, and the repeats.

A count is of actions. Distinct visitors of any interval are its count less its repeats: a visitor-offer
reaches a state again only in an action beyond its first, which is rare, so only those are kept one by one.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_application.projections.slots import DAY_SLOTS, counted_slot
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort

Reached = SealedEvent[LifecycleEvent]
"""A state reached, in its stream."""

_BY_EVENT: Final = Cohort.EVENT.value
_BY_OFFER: Final = Cohort.OFFERED.value


class CountKey(NamedTuple):
    """A map and a quarter-hour, in one of the two ways to place an event in time."""

    organization: str
    cohort: str
    action_map_id: UUID
    slot: int


class DayKey(NamedTuple):
    """A map and a day of UTC since 1970, in one of the two ways to place an event in time."""

    organization: str
    cohort: str
    action_map_id: UUID
    day: int


class RepeatRow(NamedTuple):
    """A visitor-offer reached a state again: which time, and the slots of this and of the first time."""

    originator_id: UUID
    state: str
    ordinal: int
    organization: str
    action_map_id: UUID
    slot: int
    first_slot: int
    offered_slot: int
    first_offered_slot: int


class NameRow(NamedTuple):
    """A map's display name, and its age."""

    name: bytes
    named_at: datetime
    position: int

    @property
    def rank(self) -> tuple[datetime, bytes, int]:
        """The order of names: the greatest wins, in whatever order the events are applied."""
        return self.named_at, self.name, -self.position


@dataclass(frozen=True, slots=True)
class PerformanceChange:
    """The counts, repeats and names that a page adds."""

    counts: Mapping[CountKey, Mapping[State, int]]
    repeats: Sequence[RepeatRow]
    names: Mapping[tuple[str, UUID], NameRow]

    @property
    def days(self) -> Mapping[DayKey, Mapping[State, int]]:
        """The counts by day."""
        days: defaultdict[DayKey, Counter[State]] = defaultdict(Counter)
        for key, counts in self.counts.items():
            days[DayKey(*key[:3], key.slot // DAY_SLOTS)].update(counts)
        return days


def performance(page: Page) -> PerformanceChange:
    """Return the change that a page makes."""
    counts: dict[tuple[str, str, int, int], dict[State, int]] = {}
    repeats: list[RepeatRow] = []
    names: dict[tuple[str, int], NameRow] = {}
    maps: dict[int, UUID] = {}  # an int is found several times as fast as its UUID
    times = {stream: _times(events) for stream, events in page.earlier.items()}
    for position, recorded in page.events:
        event = recorded.event
        if not isinstance(event, LifecycleEvent):
            continue
        organization, state, happened, offered = (
            event.organization,
            event.state,
            event.occurred_at,
            event.offered_at,
        )
        number = event.action_map_id.int
        slot = counted_slot(happened)
        offered_slot = slot if offered == happened else counted_slot(offered)
        for key in (
            (organization, _BY_EVENT, number, slot),
            (organization, _BY_OFFER, number, offered_slot),
        ):
            count = counts.get(key)
            if count is None:
                counts[key] = {state: 1}
                maps[number] = event.action_map_id
            else:
                count[state] = count.get(state, 0) + 1
        if event.action_number > 1:
            repeats.extend(_repeat(recorded, event, times[recorded.originator_id][state]))
        if event.action_map_name is not None:
            where = organization, number
            newest = names.get(where)
            if newest is None or newest.named_at <= happened:
                named = NameRow(event.action_map_name.encode(), happened, position)
                if newest is None or newest.rank < named.rank:
                    names[where] = named
    return PerformanceChange(
        {CountKey(who, how, maps[number], slot): count for (who, how, number, slot), count in counts.items()},
        repeats,
        {(who, maps[number]): name for (who, number), name in names.items()},
    )


def _times(stream: Sequence[Reached]) -> Mapping[State, Sequence[Reached]]:
    """Return a stream's events by the state that they reached, each in order."""
    times: defaultdict[State, list[Reached]] = defaultdict(list)
    for recorded in stream:
        times[recorded.event.state].append(recorded)
    return times


def _repeat(
    recorded: SealedEvent[Event], event: LifecycleEvent, times: Sequence[Reached]
) -> Sequence[RepeatRow]:
    before = bisect_left(times, recorded.originator_version, key=attrgetter("originator_version"))
    if not before:
        return ()
    first = times[0].event
    return [
        RepeatRow(
            recorded.originator_id,
            event.state.value,
            before + 1,
            event.organization,
            event.action_map_id,
            counted_slot(event.occurred_at),
            counted_slot(first.occurred_at),
            counted_slot(event.offered_at),
            counted_slot(first.offered_at),
        )
    ]
