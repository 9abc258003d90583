"""The counts of the performance projection in plain dicts, filled by the projection's own pure function."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import CountKey, NameRow, RepeatRow, performance
from offerlog_application.reading.performance_report import ReportQuery
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort, CountBy


class MemoryCounts:
    """`PerformanceCounts` in memory."""

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
                if where not in self._names or self._names[where][1:] < name[1:]:
                    self._names[where] = name

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """The first slot with anything in it and the one behind the last; (0, 0) where there is none."""
        known = [
            slot
            for organization, cohort, _, slot in self._counts
            if (organization, cohort) == (query.organization, query.cohort)
        ]
        return (min(known), max(known) + 1) if known else (0, 0)

    def spans(self, query: ReportQuery, first: int, end: int, gap_days: int) -> Sequence[tuple[int, int]]:
        """All of [first, end) as one part."""
        del query, gap_days
        return [(first, end)]

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

        rows: defaultdict[tuple[str, int], Counter[State]] = defaultdict(Counter)
        for (organization, cohort, action_map, slot), counts in self._counts.items():
            asked = (organization, cohort) == (query.organization, query.cohort) and first <= slot < end
            if asked and (not query.action_maps or action_map in query.action_maps):
                rows[action_map, bucket(slot)].update(counts)
        if query.count_by is CountBy.VISITORS:
            self._subtract(query, first, end, rows, bucket)
        return rows if most is None else dict(list(rows.items())[: most + 1])

    def names(self, organization: str, action_maps: Sequence[str]) -> Mapping[str, str]:
        """The newest known display names of these maps."""
        return {
            key[1]: row.name.decode()
            for key, row in self._names.items()
            if key[0] == organization and key[1] in action_maps
        }

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
