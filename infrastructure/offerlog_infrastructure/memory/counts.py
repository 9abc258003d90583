"""The counts of the performance projection in memory, made by the projection's own pure function."""

import threading
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final
from uuid import UUID

from offerlog_application.ports.offer_reads import MapVersion
from offerlog_application.ports.performance_counts import ReportQuery, RowCounts
from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import (
    BlockedKey,
    CountKey,
    NameRow,
    RepeatRow,
    Scope,
    performance,
)
from offerlog_application.projections.slots import DAY_SLOTS, join_spans
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy

_NAME_CHARACTERS: Final = 256
"""Names are cut at this length."""

_MOST_NAMED: Final = 10


class MemoryCounts:
    """The application's `PerformanceSource`; thread-safe.

    Args:
        lock: Guards the counts: the lock of their log; a new one unless given.
    """

    def __init__(self, lock: AbstractContextManager[object] | None = None) -> None:
        self._lock: AbstractContextManager[object] = threading.RLock() if lock is None else lock
        self._counts: defaultdict[CountKey, Counter[State]] = defaultdict(Counter)
        self._repeats: list[RepeatRow] = []
        self._names: dict[tuple[str, str], NameRow] = {}
        self._blocked: Counter[BlockedKey] = Counter()

    def apply(self, page: Page) -> None:
        """Count the events of one more page of the log."""
        change = performance(page)
        with self._lock:
            for key, counts in change.counts.items():
                self._counts[key].update(counts)
            self._repeats.extend(change.repeats)
            self._blocked.update(change.blocked_counts)
            for (organization, action_map), name in change.names.items():
                where = organization, str(action_map)
                if where not in self._names or self._names[where].rank < name.rank:
                    self._names[where] = name

    def maps(self, organization: str) -> Sequence[ActionMapId]:
        """Return the action maps of an organization that were counted, sorted."""
        with self._lock:
            maps = {str(key.action_map_id) for key in self._counts if key.organization == organization}
        return [ActionMapId(one) for one in sorted(maps)]

    def blocked_maps(self, organization: str) -> Collection[ActionMapId]:
        """Return the action maps of an organization of which blocked offers were counted."""
        with self._lock:
            maps = {str(key.action_map_id) for key in self._blocked if key.organization == organization}
        return {ActionMapId(one) for one in maps}

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """Return the bounds of the days with anything in them, in slots; (0, 0) without any."""
        days = self._days(query)
        return (days[0] * DAY_SLOTS, (days[-1] + 1) * DAY_SLOTS) if days else (0, 0)

    def spans(self, query: ReportQuery, first: int, end: int, gap_days: int) -> Sequence[tuple[int, int]]:
        """Return the parts of [first, end) with anything in them, ascending; longer gaps part two spans."""
        days = [(max(day * DAY_SLOTS, first), min((day + 1) * DAY_SLOTS, end)) for day in self._days(query)]
        return join_spans([(start, stop) for start, stop in days if start < stop], gap_days)

    def counts(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        stretches: Sequence[tuple[int, int]],
        most: int | None,
    ) -> Mapping[tuple[ActionMapId, int], RowCounts]:
        """Return the counts of [first, end) by map and bucket number; distinct visitors less repeats."""
        starts = [start for start, _ in stretches]

        def bucket(slot: int) -> int:
            return stretches[bisect_right(starts, slot) - 1][1]

        rows: defaultdict[tuple[ActionMapId, int], Counter[State]] = defaultdict(_zeros)
        media_types: defaultdict[tuple[ActionMapId, int], set[str]] = defaultdict(set)
        with self._lock:
            for key, counts in self._counts.items():
                if _is_asked(query, key) and first <= key.slot < end:
                    row = ActionMapId(str(key.action_map_id)), bucket(key.slot)
                    rows[row].update(counts)
                    media_types[row].add(key.media_type)
            if query.count_by is CountBy.VISITORS:
                self._subtract_repeats(query, first, end, rows, bucket)
        shown = list(rows)[: None if most is None else most + 1]
        return {row: RowCounts(rows[row], media_types[row]) for row in shown}

    def map_counts(
        self, query: ReportQuery, first: int, end: int, most: int, *, by_version: bool
    ) -> Mapping[MapVersion, Mapping[State, int]]:
        """Return the counts of [first, end) by map and media type, or also by version."""
        rows: defaultdict[MapVersion, Counter[State]] = defaultdict(_zeros)

        def version_of(row: CountKey | RepeatRow) -> MapVersion:
            version = row.action_map_version if by_version else None
            return MapVersion(ActionMapId(str(row.action_map_id)), row.media_type, version)

        with self._lock:
            for key, counts in self._counts.items():
                if _is_asked(query, key) and first <= key.slot < end:
                    rows[version_of(key)].update(counts)
            if query.count_by is CountBy.VISITORS:
                scope = Scope.VERSION if by_version else Scope.MEDIA_TYPE
                times: Counter[tuple[MapVersion, State, UUID]] = Counter()
                for row, slot in self._reached_again(query, scope):
                    if first <= slot < end:
                        times[version_of(row), State(row.state), row.originator_id] += 1
                for (group, state, _), count in times.items():
                    if group in rows:
                        rows[group][state] -= count - 1
        return dict(list(rows.items())[: most + 1])

    def media_types(
        self, organization: str, action_maps: Collection[ActionMapId]
    ) -> Mapping[ActionMapId, Collection[str]]:
        """Return the media types that the actions of these maps had at any time."""
        found: defaultdict[ActionMapId, set[str]] = defaultdict(set)
        with self._lock:
            for key in self._counts:
                action_map = ActionMapId(str(key.action_map_id))
                if key.organization == organization and action_map in action_maps:
                    found[action_map].add(key.media_type)
        return found

    def blocked(self, query: ReportQuery, first: int, end: int) -> Mapping[BlockedKey, int]:
        """Return the blocked offers of [first, end) that a query asks for."""
        with self._lock:
            return {
                key: number
                for key, number in self._blocked.items()
                if key.organization == query.organization
                and first <= key.slot < end
                and query.media_type in {None, key.media_type}
                and (not query.action_maps or str(key.action_map_id) in query.action_maps)
            }

    def names(self, organization: str, action_maps: Sequence[ActionMapId]) -> Mapping[ActionMapId, str]:
        """Return the newest known display names of these maps."""
        return {one: name for one, (_, name) in self.dated_names(organization, action_maps).items()}

    def dated_names(
        self, organization: str, action_maps: Sequence[ActionMapId]
    ) -> Mapping[ActionMapId, tuple[datetime, str]]:
        """Return the same names, each with the time of the signal that had it."""
        with self._lock:
            found = {one: self._names.get((organization, one)) for one in action_maps}
        return {
            one: (row.named_at, row.name.decode()[:_NAME_CHARACTERS])
            for one, row in found.items()
            if row is not None
        }

    def maps_named(self, organization: str, name: str) -> Sequence[ActionMapId]:
        """Return the action maps with this newest known name, sorted by id; at most ten of them."""
        names = self.names(organization, self.maps(organization))
        return [one for one in self.maps(organization) if names.get(one) == name][:_MOST_NAMED]

    def action_maps(
        self, organization: str, behind: ActionMapId | None = None
    ) -> Generator[tuple[ActionMapId, str | None]]:
        """Stream the action maps with their newest known names, sorted by id, after `behind` if given."""
        for action_map in self.maps(organization):
            if behind is None or action_map > behind:
                yield action_map, self.names(organization, [action_map]).get(action_map)

    def _days(self, query: ReportQuery) -> Sequence[int]:
        with self._lock:
            return sorted({key.slot // DAY_SLOTS for key in self._counts if _is_asked(query, key)})

    def _subtract_repeats(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        rows: Mapping[tuple[ActionMapId, int], Counter[State]],
        bucket: Callable[[int], int],
    ) -> None:
        """Take off what a visitor-offer counts beyond once in the same bucket."""
        times: Counter[tuple[ActionMapId, int, State, UUID]] = Counter()
        scope = Scope.ALL if query.media_type is None else Scope.MEDIA_TYPE
        for row, slot in self._reached_again(query, scope):
            if first <= slot < end:
                action_map = ActionMapId(str(row.action_map_id))
                times[action_map, bucket(slot), State(row.state), row.originator_id] += 1
        for (action_map, number, state, _), count in times.items():
            if (action_map, number) in rows:
                rows[action_map, number][state] -= count - 1

    def _reached_again(self, query: ReportQuery, scope: Scope) -> Iterator[tuple[RepeatRow, int]]:
        """Yield each repeat of a scope with its slot, and for a first time its slot too."""
        for row in self._repeats:
            if row.scope is not scope or row.organization != query.organization:
                continue
            if query.media_type not in {None, row.media_type}:
                continue
            again, once = row.slot, row.first_slot
            if query.cohort is Cohort.OFFERED:
                again, once = row.offered_slot, row.first_offered_slot
            yield row, again
            # Every repeat carries the first time's slot: the second row stands for the first time too.
            if row.ordinal == 2:  # noqa: PLR2004 - the second time
                yield row, once


def _zeros() -> Counter[State]:
    return Counter(dict.fromkeys(METRICS, 0))


def _is_asked(query: ReportQuery, key: CountKey) -> bool:
    asked = (key.organization, key.cohort) == (query.organization, query.cohort)
    asked &= query.media_type in {None, key.media_type}
    return asked and (not query.action_maps or str(key.action_map_id) in query.action_maps)
