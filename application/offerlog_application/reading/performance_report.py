"""The Action Map Performance report: query, limits and rows. A *slot* is a quarter-hour of UTC."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from offerlog_application.ports.performance_counts import PerformanceCounts, ReportQuery
from offerlog_application.projections.slots import slot
from offerlog_application.reading.arrow import make_table
from offerlog_application.reading.calendar import buckets
from offerlog_application.reading.read_budget import check_read
from offerlog_application.reading.report_table import tabulate_performance
from offerlog_domain.errors import OfferlogError
from offerlog_domain.identity import ActionMapId
from offerlog_domain.metrics import METRICS, Granularity, rates

if TYPE_CHECKING:
    import pyarrow as pa

_WIDE_SLOTS: Final = 20 * 366 * 96
"""Twenty years. Of a longer range, only the parts with counts are cut into buckets."""

_MANY_BUCKETS: Final = 10_000
"""Above this number of buckets, only the parts with counts are cut: to find these first costs less."""

_LEAST_SLOTS: Final = {
    Granularity.HOUR: 4,
    Granularity.DAY: 96,
    Granularity.WEEK: 7 * 96,
    Granularity.MONTH: 28 * 96,
}
"""Slots of the shortest bucket, but for those that a shift of the clocks cuts."""

_STEP: Final = 1_000
"""After so many rows or buckets a report asks whether it may go on."""


@dataclass(frozen=True, slots=True)
class ReportLimits:
    """The size and time that a report may take; None is no limit.

    Attributes:
        buckets: Hours, days, weeks or months in which anything was counted.
        rows: Pairs of action map and bucket.
        seconds: Time by the wall clock, for a report made in this process. The HTTP service has its own.
    """

    buckets: int | None = 50_000
    rows: int | None = 50_000
    seconds: float | None = 30.0


DEFAULT_LIMITS: Final = ReportLimits()
UNLIMITED: Final = ReportLimits(None, None, None)


class ReportTooLargeError(OfferlogError, ValueError):
    """A report would have more buckets or rows than it may; nothing was read but what shows this.

    Attributes:
        field: The parameter to change first, `by` or `action_map`.
        limit: The limit that it goes past.
        cause: The fault and what to do.
    """

    def __init__(self, query: "ReportQuery", what: str, limit: int) -> None:
        coarser = [one.value for one in Granularity if _is_coarser(one, query.by)]
        other = f"choose a coarser `by` ({', '.join(coarser)})" if coarser else "ask for fewer action maps"
        self.field = "by" if coarser else "action_map"
        self.limit = limit
        self.cause = (
            f"by {query.by.value} gives more than {limit:,} {what}: {other}, or a shorter time by from and to"
        )
        super().__init__(query, what, limit)

    def __str__(self) -> str:
        return self.cause


def _is_coarser(one: Granularity, other: Granularity) -> bool:
    sizes = list(_LEAST_SLOTS)
    return other in sizes and (one is Granularity.TOTAL or sizes.index(one) > sizes.index(other))


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One action map in one bucket.

    Attributes:
        action_map_id: The map.
        action_map_name: Its newest known display name.
        bucket: The bucket's label; None for the total.
        metrics: Every metric of the view by its wire name, zeros too.
        rates: Accepted ÷ offered and engaged ÷ accepted; None for a zero denominator, and where none of the
            media types counted has such states.
    """

    action_map_id: str
    action_map_name: str | None
    bucket: str | None
    metrics: Mapping[str, int]
    rates: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class PerformanceReport:
    """A performance report.

    Attributes:
        query: Its query.
        rows: Sorted by action map, then bucket; rows of zeros are left out.
        short_by: Number of dead-letter events of these maps, in any period: they are not counted. Events
            of unknown origin are among them.
        missing_slices: The slices whose visitors are not counted, as a server could not be reached. There are
            some only where a partial report was asked for.
    """

    query: ReportQuery
    rows: Sequence[ReportRow]
    short_by: int = 0
    missing_slices: Sequence[int] = ()

    def to_arrow(self) -> "pa.Table":
        """Return the rows as a table of Arrow, for pandas, Polars and DuckDB.

        Its columns are those of `offerlog export report` (docs/analytics.md). Needs the extra `parquet`,
        which this call loads.

        Raises:
            ExtraMissingError: pyarrow is not installed.
        """
        return make_table(tabulate_performance(self))


def report(
    query: ReportQuery, source: PerformanceCounts, limits: ReportLimits = DEFAULT_LIMITS
) -> PerformanceReport:
    """Answer a query from the counts.

    Raises:
        ReportTooLargeError: It would have more buckets or rows than `limits` allows.
        ReadTimeoutError: The time of the current read is over.
        ReadCancelledError: The current read was called off.
    """
    first, end = source.slots(query)
    first = max(first, slot(query.start)) if query.start is not None else first
    end = min(end, slot(query.end)) if query.end is not None else end
    if first >= end:
        return PerformanceReport(query, ())
    stretches, label_of = _stretches(query, _spans(query, source, first, end), limits)
    counted = source.counts(query, first, end, stretches, limits.rows)
    if limits.rows is not None and len(counted) > limits.rows:
        raise ReportTooLargeError(query, "rows", limits.rows)
    numbers_of: defaultdict[ActionMapId, list[int]] = defaultdict(list)
    for action_map, number in counted:
        numbers_of[action_map].append(number)
    names = source.names(query.organization, sorted(numbers_of))
    wanted = [(state, METRICS[state]) for state in query.view.states]
    rows: list[ReportRow] = []
    for action_map in sorted(numbers_of):  # sorted map by map: one sort of all holds up every other thread
        name = names.get(action_map)
        for place, number in enumerate(sorted(numbers_of[action_map])):
            if place % _STEP == 0:
                check_read()
            counts, media_types = counted[action_map, number]
            metrics = {metric: counts.get(state, 0) for state, metric in wanted}
            if any(metrics.values()):
                quotients = rates(counts, media_types=media_types)
                rows.append(ReportRow(action_map, name, label_of[number], metrics, quotients))
    return PerformanceReport(query, tuple(rows))


def _spans(query: ReportQuery, source: PerformanceCounts, first: int, end: int) -> Sequence[tuple[int, int]]:
    """The parts of [first, end) to cut into buckets: all of it, or where that is much, what is occupied.

    A clock gone wrong may report from any year, and the centuries in between have no buckets worth making.
    """
    least = _LEAST_SLOTS.get(query.by)
    if least is None or (end - first < _WIDE_SLOTS and end - first < _MANY_BUCKETS * least):
        return [(first, end)]
    return source.spans(query, first, end, -(-least // _LEAST_SLOTS[Granularity.DAY]))


def _stretches(
    query: ReportQuery, spans: Iterable[tuple[int, int]], limits: ReportLimits
) -> tuple[list[tuple[int, int]], list[str | None]]:
    """The slot where each bucket begins, with its number, and the label of each number.

    Raises:
        ReportTooLargeError: There are more buckets than `limits` allows.
    """
    spans = list(spans)
    most = limits.buckets
    least = _LEAST_SLOTS.get(query.by)
    if (
        most is not None
        and least is not None
        and sum(stop - start for start, stop in spans) > most * least * 2
    ):
        raise ReportTooLargeError(query, "buckets", most)
    labels: dict[str | None, int] = {}
    stretches: list[tuple[int, int]] = []
    for start, stop in spans:
        for bucket in buckets(start, stop, query.zone, query.by):
            stretches.append((bucket.first, labels.setdefault(bucket.label, len(labels))))
            if len(stretches) % _STEP == 0:
                check_read()
        if most is not None and len(labels) > most:
            raise ReportTooLargeError(query, "buckets", most)
    return stretches, list(labels)
