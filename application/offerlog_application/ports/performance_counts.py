"""The port to the counts behind the performance report, and the query that they answer.

A *slot* is a quarter-hour of UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """The parameters of a report.

    Attributes:
        organization: The tenant.
        start: The first instant that counts, on a quarter-hour; None for all time.
        end: The first instant that counts no longer; None for all time.
        zone: The time zone of the bucket boundaries.
        by: The size of a bucket.
        action_maps: Only these, lower-case; empty for all.
        view: The metric set to show.
        count_by: Count actions, or the distinct visitors of a bucket.
        cohort: By each event's own time, or each action's whole funnel by the time of its offer.
        media_type: Only actions of this media type, a key of `LIFECYCLES`; None for all.
    """

    organization: str
    start: datetime | None = None
    end: datetime | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    by: Granularity = Granularity.TOTAL
    action_maps: tuple[str, ...] = ()
    view: MetricSet = MetricSet.REPORT
    count_by: CountBy = CountBy.ACTIONS
    cohort: Cohort = Cohort.EVENT
    media_type: str | None = None


class RowCounts(NamedTuple):
    """The counts of an action map in a bucket.

    Attributes:
        states: Number of actions or visitors by state, zeros too.
        media_types: Media types of the actions that are counted.
    """

    states: Mapping[State, int]
    media_types: Collection[str]


class PerformanceCounts(Protocol):
    """The port to the stored counts."""

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """The first slot of the first day of UTC with counts, and the end of the last; (0, 0) without any."""

    def spans(self, query: ReportQuery, first: int, end: int, gap_days: int) -> Sequence[tuple[int, int]]:
        """The parts of [first, end) with anything in them, ascending.

        Args:
            query: Whose counts.
            first: The first slot.
            end: The slot after the last.
            gap_days: Days of UTC without anything, more of which part two spans.
        """

    def counts(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        stretches: Sequence[tuple[int, int]],
        most: int | None,
    ) -> Mapping[tuple[ActionMapId, int], RowCounts]:
        """Counts of [first, end) by map and bucket number; at most `most` of them and one more.

        `stretches` are ascending: the slot where each begins, and the number of the bucket it belongs to.
        """

    def names(self, organization: str, action_maps: Sequence[ActionMapId]) -> Mapping[ActionMapId, str]:
        """The newest known display names of these maps."""
