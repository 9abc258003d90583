"""The Action Map Performance report: what was asked, and the rows that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from offerlog_application.calendar import Granularity, buckets, slot
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy, View, rates

_WIDE_SLOTS: Final = 20 * 366 * 96
"""Twenty years: over more than that, only the parts with anything in them are cut into buckets."""


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """What a report is asked for.

    Attributes:
        organization: Whose.
        start: The first instant that counts, on a quarter-hour; None for all time.
        end: The first instant that counts no longer; None for all time.
        zone: The zone whose wall time makes the buckets.
        by: The size of a bucket.
        action_maps: Only these, lower-case; empty for all.
        view: Which metrics.
        count_by: Actions, or distinct visitors in the bucket.
        cohort: By each event's own time, or each action's whole funnel by the time of its offer.
    """

    organization: str
    start: datetime | None = None
    end: datetime | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    by: Granularity = Granularity.TOTAL
    action_maps: tuple[str, ...] = ()
    view: View = View.REPORT
    count_by: CountBy = CountBy.ACTIONS
    cohort: Cohort = Cohort.EVENT


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One action map in one bucket.

    Attributes:
        action_map_id: The map.
        action_map_name: Its newest known display name.
        bucket: The bucket's label; None for the total.
        metrics: Every metric of the view by its wire name, zeros too.
        rates: Accepted ÷ offered and engaged ÷ accepted; None for a zero denominator.
    """

    action_map_id: str
    action_map_name: str | None
    bucket: str | None
    metrics: Mapping[str, int]
    rates: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Report:
    """The answer.

    Attributes:
        query: What was asked.
        rows: Sorted by action map, then bucket; rows of zeros are left out.
        short_by: How many events that belong here wait as dead letters and are not counted.
    """

    query: ReportQuery
    rows: Sequence[ReportRow]
    short_by: int = 0


class PerformanceCounts(Protocol):
    """Where the counts are kept."""

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """The first slot with anything in it and the one behind the last; (0, 0) where there is none."""

    def spans(self, query: ReportQuery, first: int, end: int) -> Sequence[tuple[int, int]]:
        """The parts of [first, end) with anything in them, ascending; years without anything lie between."""

    def counts(
        self, query: ReportQuery, first: int, end: int, stretches: Sequence[tuple[int, int]]
    ) -> Mapping[tuple[str, int], Mapping[State, int]]:
        """Counts of [first, end) by map and bucket number.

        `stretches` are ascending: the slot where each begins, and the number of the bucket it belongs to.
        """

    def names(self, organization: str) -> Mapping[str, str]:
        """The newest known display name of every map."""


def report(query: ReportQuery, source: PerformanceCounts) -> Report:
    """Answer a query from the counts."""
    first, end = source.slots(query)
    first = max(first, slot(query.start)) if query.start is not None else first
    end = min(end, slot(query.end)) if query.end is not None else end
    if first >= end:
        return Report(query, ())
    labels: dict[str | None, int] = {}
    # A clock gone wrong may report from any year; the centuries in between have no buckets worth making.
    spans = [(first, end)] if end - first < _WIDE_SLOTS else source.spans(query, first, end)
    stretches = [
        (bucket.first, labels.setdefault(bucket.label, len(labels)))
        for start, stop in spans
        for bucket in buckets(start, stop, query.zone, query.by)
    ]
    label_of = list(labels)
    names = source.names(query.organization)
    counted = sorted(source.counts(query, first, end, stretches).items())
    wanted = [(state, METRICS[state]) for state in query.view.states]
    rows = []
    for (action_map, number), counts in counted:
        metrics = {metric: counts.get(state, 0) for state, metric in wanted}
        if any(metrics.values()):
            rows.append(
                ReportRow(action_map, names.get(action_map), label_of[number], metrics, rates(counts))
            )
    return Report(query, tuple(rows))
