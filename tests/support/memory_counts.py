"""The counts of the performance projection in plain dicts, filled by the projection's own pure function."""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import CountKey, NameRow, RepeatRow, performance
from offerlog_application.reading.instants import DAY_SLOTS
from offerlog_application.reading.performance_report import ReportQuery
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy


def _zeros() -> Counter[State]:
    return Counter(dict.fromkeys(METRICS, 0))


class MemoryCounts:
    """`PerformanceSource` in memory."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._counts: defaultdict[CountKey, Counter[State]] = defaultdict(Counter)
        self._repeats: list[RepeatRow] = []
        self._names: dict[tuple[str, str], NameRow] = {}
        for page in pages:
            change = performance(page)
            for key, counts in change.counts.items():
                self._counts[key].update(counts)
            self._repeats.extend(change.repeats)
            for where, name in change.names.items():
                if where not in self._names or self._names[where].rank < name.rank:
                    self._names[where] = name

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """The bounds of the days with anything in them; (0, 0) where there is none."""
        days = self._days(query)
        return (min(days) * DAY_SLOTS, (max(days) + 1) * DAY_SLOTS) if days else (0, 0)

    def spans(self, query: ReportQuery, first: int, end: int, gap_days: int) -> Sequence[tuple[int, int]]:
        """The parts of [first, end) with anything in them, ascending; gaps of more days part two."""
        spans: list[list[int]] = []
        for day in sorted(self._days(query)):
            if (day + 1) * DAY_SLOTS <= first or day * DAY_SLOTS >= end:
                continue
            if spans and day - spans[-1][1] <= gap_days:
                spans[-1][1] = day
            else:
                spans.append([day, day])
        return [(max(a * DAY_SLOTS, first), min((b + 1) * DAY_SLOTS, end)) for a, b in spans]

    def _days(self, query: ReportQuery) -> set[int]:
        return {
            slot // DAY_SLOTS
            for organization, cohort, action_map, slot in self._counts
            if (organization, cohort) == (query.organization, query.cohort)
            and (not query.action_maps or action_map in query.action_maps)
        }

    def counts(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        stretches: Sequence[tuple[int, int]],
        most: int | None,
    ) -> Mapping[tuple[str, int], Mapping[State, int]]:
        """Counts of [first, end) by map and bucket number; distinct visitors are counts less repeats."""

        def bucket(slot: int) -> int:
            return [number for start, number in stretches if start <= slot][-1]

        rows: defaultdict[tuple[str, int], Counter[State]] = defaultdict(_zeros)
        for (organization, cohort, action_map, slot), counts in self._counts.items():
            asked = (organization, cohort) == (query.organization, query.cohort) and first <= slot < end
            if asked and (not query.action_maps or action_map in query.action_maps):
                rows[action_map, bucket(slot)].update(counts)
        if query.count_by is CountBy.VISITORS:
            self._subtract(query, first, end, rows, bucket)
        return rows if most is None else dict(list(rows.items())[: most + 1])

    def names(self, organization: str, action_maps: Sequence[str]) -> Mapping[str, str]:
        """The newest known display names of these maps, each cut at 256 characters."""
        return {
            key[1]: row.name.decode()[:256]
            for key, row in self._names.items()
            if key[0] == organization and key[1] in action_maps
        }

    def action_maps(self, organization: str, behind: str | None = None) -> Generator[tuple[str, str | None]]:
        """The maps that have been counted, by id, with their newest known names."""
        counted = {key.action_map_id for key in self._counts if key.organization == organization}
        for action_map in sorted(counted):
            if behind is None or action_map > behind:
                yield action_map, self.names(organization, [action_map]).get(action_map)

    def _subtract(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        rows: Mapping[tuple[str, int], Counter[State]],
        bucket: Callable[[int], int],
    ) -> None:
        """Take off what a visitor-offer counts beyond once in the same bucket."""
        times: Counter[tuple[str, int, State, UUID]] = Counter()
        for row in self._repeats:
            again, once = row.slot, row.first_slot
            if query.cohort is Cohort.OFFERED:
                again, once = row.offered_slot, row.first_offered_slot
            for slot in [again, once] if row.ordinal == 2 else [again]:
                if first <= slot < end:
                    times[row.action_map_id, bucket(slot), State(row.state), row.originator_id] += 1
        for (action_map, number, state, _), count in times.items():
            if (action_map, number) in rows:
                rows[action_map, number][state] -= count - 1
