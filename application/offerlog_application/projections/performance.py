"""Action Map Performance: counts by map and quarter-hour, by event and by cohort, and the repeats.

A count is of actions. Distinct visitors of any interval are its count less its repeats: a visitor-offer
reaches a state again only in an action beyond its first, which is rare, so only those are kept one by one.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.projections.page import Page, may_repeat
from offerlog_application.projections.slots import DAY_SLOTS, counted_slot
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import Cohort
from offerlog_domain.service_events import BlockedTally

Reached = SealedEvent[LifecycleEvent]
"""A state reached, in its stream."""

_BY_EVENT: Final = Cohort.EVENT.value
_BY_OFFER: Final = Cohort.OFFERED.value


class CountKey(NamedTuple):
    """A map, its media type and version, and a quarter-hour by one of the two ways to place an event."""

    organization: str
    cohort: str
    action_map_id: UUID
    slot: int
    media_type: str
    action_map_version: int | None


class DayKey(NamedTuple):
    """A map, its media type and version, and a day of UTC since 1970, as in `CountKey`."""

    organization: str
    cohort: str
    action_map_id: UUID
    day: int
    media_type: str
    action_map_version: int | None


class Scope(IntEnum):
    """The actions of a visitor-offer among which a state is reached again."""

    ALL = 0
    MEDIA_TYPE = 1
    VERSION = 2
    """Those of one media type and version of the map."""


class RepeatRow(NamedTuple):
    """A visitor-offer reached a state again: which time, and the slots of this and of the first time.

    `media_type` is None in the scope `ALL`; `action_map_version` only says something in the scope `VERSION`.
    """

    originator_id: UUID
    state: str
    scope: Scope
    media_type: str | None
    action_map_version: int | None
    ordinal: int
    organization: str
    action_map_id: UUID
    slot: int
    first_slot: int
    offered_slot: int
    first_offered_slot: int


class FormKey(NamedTuple):
    """A map, a media type, and the quarter-hour in which an action was offered."""

    organization: str
    action_map_id: UUID
    slot: int
    media_type: str


class BlockedRow(NamedTuple):
    """An offer that was refused, and is remembered.

    Attributes:
        originator_id: The stream.
        version: The place of the event in it.
        organization: The tenant.
        action_map_id: The action map.
        slot: The quarter-hour of the offer.
        reason: `terminal_state` or `already_open`.
        media_type: The media type of the offer.
    """

    originator_id: UUID
    version: int
    organization: str
    action_map_id: UUID
    slot: int
    reason: str
    media_type: str


class BlockedKey(NamedTuple):
    """A map, a quarter-hour and a reason, with media type and version of the map where they are known."""

    organization: str
    action_map_id: UUID
    slot: int
    reason: str
    media_type: str | None
    action_map_version: int | None


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
    """The counts, repeats and names that a page adds.

    Attributes:
        counts: Actions by state.
        repeats: States that a visitor-offer reached again.
        names: Names of action maps.
        form_rejections: Actions that were rejected at the form.
        blocked: Offers that were refused.
        blocked_counts: Number of blocked offers: those that were refused, and those of tallies.
    """

    counts: Mapping[CountKey, Mapping[State, int]]
    repeats: Sequence[RepeatRow]
    names: Mapping[tuple[str, UUID], NameRow]
    form_rejections: Mapping[FormKey, int] = field(default_factory=dict)
    blocked: Sequence[BlockedRow] = ()
    blocked_counts: Mapping[BlockedKey, int] = field(default_factory=dict)

    @property
    def days(self) -> Mapping[DayKey, Mapping[State, int]]:
        """The counts by day."""
        days: defaultdict[DayKey, Counter[State]] = defaultdict(Counter)
        for key, counts in self.counts.items():
            days[DayKey(*key[:3], key.slot // DAY_SLOTS, *key[4:])].update(counts)
        return days


def performance(page: Page) -> PerformanceChange:
    """Return the change that a page makes."""
    counts: dict[tuple[str, str, int, int, str, int | None], dict[State, int]] = {}
    repeats: list[RepeatRow] = []
    names: dict[tuple[str, int], NameRow] = {}
    form_rejections: Counter[FormKey] = Counter()
    others: list[SealedEvent[Event]] = []
    maps: dict[int, UUID] = {}  # an int is found several times as fast as its UUID
    times = {stream: _times(events) for stream, events in page.earlier.items()}
    for position, recorded in page.events:
        event = recorded.event
        if not isinstance(event, LifecycleEvent):
            others.append(recorded)
            continue
        organization, state, happened, offered = (
            event.organization,
            event.state,
            event.occurred_at,
            event.offered_at,
        )
        media_type, version = event.media_type, event.action_map_version
        number = event.action_map_id.int
        slot = counted_slot(happened)
        offered_slot = slot if offered == happened else counted_slot(offered)
        for key in (
            (organization, _BY_EVENT, number, slot, media_type, version),
            (organization, _BY_OFFER, number, offered_slot, media_type, version),
        ):
            count = counts.get(key)
            if count is None:
                counts[key] = {state: 1}
                maps[number] = event.action_map_id
            else:
                count[state] = count.get(state, 0) + 1
        if state is State.REJECTED and event.stage is Stage.FORM:
            form_rejections[FormKey(organization, event.action_map_id, offered_slot, media_type)] += 1
        if may_repeat(recorded, event):
            repeats.extend(_repeat(recorded, event, times[recorded.originator_id]))
        if event.action_map_name is not None:
            where = organization, number
            newest = names.get(where)
            if newest is None or newest.named_at <= happened:
                named = NameRow(event.action_map_name.encode(), happened, position)
                if newest is None or newest.rank < named.rank:
                    names[where] = named
    return PerformanceChange(
        {
            CountKey(who, how, maps[number], slot, media_type, version): count
            for (who, how, number, slot, media_type, version), count in counts.items()
        },
        repeats,
        {(who, maps[number]): name for (who, number), name in names.items()},
        form_rejections,
        _blocked(others),
        _count_blocked(others),
    )


def _blocked(events: Sequence[SealedEvent[Event]]) -> Sequence[BlockedRow]:
    """Return the offers that were refused."""
    return [
        BlockedRow(
            recorded.originator_id,
            recorded.originator_version,
            event.organization,
            event.action_map_id,
            counted_slot(event.occurred_at),
            event.reason.value,
            event.media_type,
        )
        for recorded in events
        if isinstance(event := recorded.event, OfferRefused)
    ]


def _count_blocked(events: Sequence[SealedEvent[Event]]) -> Mapping[BlockedKey, int]:
    """Return the number of blocked offers. Each is counted by one event (docs/decisions/0056)."""
    counts: Counter[BlockedKey] = Counter()
    for recorded in events:
        event = recorded.event
        if isinstance(event, OfferRefused):
            at, reason, number = event.occurred_at, event.reason.value, 1
        elif isinstance(event, BlockedTally):
            at, reason, number = event.quarter_hour, event.reason, event.blocked
        else:
            continue
        key = BlockedKey(
            event.organization,
            event.action_map_id,
            counted_slot(at),
            reason,
            event.media_type,
            event.action_map_version,
        )
        counts[key] += number
    return counts


_Among = tuple[State, Scope, str | None, int | None]
"""A state, and the actions among which it is reached: scope, media type and version."""


def _scopes(event: LifecycleEvent) -> tuple[_Among, _Among, _Among]:
    """Return the actions among which an event may be a repeat."""
    state, media_type = event.state, event.media_type
    return (
        (state, Scope.ALL, None, None),
        (state, Scope.MEDIA_TYPE, media_type, None),
        (state, Scope.VERSION, media_type, event.action_map_version),
    )


def _times(stream: Sequence[Reached]) -> Mapping[_Among, Sequence[Reached]]:
    """Return a stream's events by the state that they reached, in each scope, in order."""
    times: defaultdict[_Among, list[Reached]] = defaultdict(list)
    for recorded in stream:
        for among in _scopes(recorded.event):
            times[among].append(recorded)
    return times


def _repeat(
    recorded: SealedEvent[Event], event: LifecycleEvent, times: Mapping[_Among, Sequence[Reached]]
) -> Iterator[RepeatRow]:
    """Yield a row for each scope in which the state was reached before."""
    for among in _scopes(event):
        reached = times[among]
        before = bisect_left(reached, recorded.originator_version, key=attrgetter("originator_version"))
        if before:
            first, (_, scope, media_type, version) = reached[0].event, among
            yield RepeatRow(
                recorded.originator_id,
                event.state.value,
                scope,
                media_type,
                version,
                before + 1,
                event.organization,
                event.action_map_id,
                counted_slot(event.occurred_at),
                counted_slot(first.occurred_at),
                counted_slot(event.offered_at),
                counted_slot(first.offered_at),
            )
