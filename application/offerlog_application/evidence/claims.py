"""The reports that a bundle claims: the counts of its events, by the rules of the performance projection."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import RepeatRow, Scope, performance
from offerlog_application.projections.slots import slot
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy

_SECOND_TIME: Final = 2


@dataclass(slots=True)
class Claims:
    """Counts of an organization in an interval, in total by action map.

    What it keeps grows with the action maps, and with the visitors who were made an offer again.

    Attributes:
        query: Organization and interval. Its other fields do not count.
    """

    query: ReportQuery
    _counts: Counter[tuple[Cohort, UUID, State]] = field(default_factory=Counter)
    _repeats: list[RepeatRow] = field(default_factory=list)

    def add(self, page: Page) -> None:
        """Count a page of the log."""
        change = performance(page)
        for key, counts in change.counts.items():
            if key.organization == self.query.organization and self._holds(key.slot):
                for state, count in counts.items():
                    self._counts[Cohort(key.cohort), key.action_map_id, state] += count
        asked = self.query.organization, Scope.ALL
        self._repeats += [one for one in change.repeats if (one.organization, one.scope) == asked]

    def describe(self) -> list[dict[str, Any]]:
        """Return the four reports, as they stand in a bundle: by cohort, of actions and of visitors."""
        ends = {"from": self.query.start, "to": self.query.end}
        return [
            {
                "organization": self.query.organization,
                **{name: None if end is None else end.isoformat() for name, end in ends.items()},
                "cohort": cohort.value,
                "count_by": count_by.value,
                "rows": self._rows(cohort, count_by),
            }
            for cohort in Cohort
            for count_by in CountBy
        ]

    def _rows(self, cohort: Cohort, count_by: CountBy) -> Sequence[Mapping[str, Any]]:
        repeats = self._extra_times(cohort) if count_by is CountBy.VISITORS else Counter()
        maps = sorted({action_map for one, action_map, _ in self._counts if one is cohort}, key=str)
        return [
            {
                "action_map_id": str(action_map),
                "metrics": {
                    metric: self._counts[cohort, action_map, state] - repeats[action_map, state]
                    for state, metric in METRICS.items()
                },
            }
            for action_map in maps
        ]

    def _extra_times(self, cohort: Cohort) -> Counter[tuple[UUID, State]]:
        """Count how often visitor-offers reached a state beyond the first time in the interval."""
        times: Counter[tuple[UUID, State, UUID]] = Counter()
        for row in self._repeats:
            again, once = row.slot, row.first_slot
            if cohort is Cohort.OFFERED:
                again, once = row.offered_slot, row.first_offered_slot
            # Every repeat carries the first time's slot: the second row stands for the first time too.
            for one in [again, once] if row.ordinal == _SECOND_TIME else [again]:
                if self._holds(one):
                    times[row.action_map_id, State(row.state), row.originator_id] += 1
        extra: Counter[tuple[UUID, State]] = Counter()
        for (action_map, state, _), count in times.items():
            extra[action_map, state] += count - 1
        return extra

    def _holds(self, number: int) -> bool:
        start, end = self.query.start, self.query.end
        return (start is None or number >= slot(start)) and (end is None or number < slot(end))
