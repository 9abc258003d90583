"""The options that reports share: the range, its zone, the action maps, and the groups of these options."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from offerlog_application.reading.instants import zone
from offerlog_application.reading.report_range import Range, report_range
from offerlog_domain.lifecycle import MediaType
from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet
from offerlog_infrastructure.cli.map_options import OnlyMaps
from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.performance_counts import ReportQuery

Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="The first instant counted: a date, a time to the quarter-hour, yesterday, -7d.",
    ),
]
End = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="The first instant that counts no longer.")
]
Last = Annotated[
    str | None,
    typer.Option(metavar="UNITS", help="So many whole units before the current one: 24h, 7d, 4w, 1mo."),
]
Zone = Annotated[
    str, typer.Option("--zone", metavar="ZONE", help="Whose days and hours: a name such as Asia/Kathmandu.")
]
CohortOfReport = Annotated[
    Cohort, typer.Option(help="Count each event at its own time, or at the time of its action's offer.")
]
OnlyMediaType = Annotated[
    MediaType | None,
    typer.Option("--media-type", help="Only offers of this media type.", show_default=False),
]
MetricsOfReport = Annotated[
    MetricSet, typer.Option(help="The metrics: report omits Ignored, Errored and Timed Out.")
]


def read_range(start: str | None, end: str | None, last: str | None, zone: ZoneInfo) -> Range:
    """Return the range that the options name, now.

    Raises:
        CalendarError: A time is not one.
        UsageError: The range ends before it begins.
    """
    first, behind = report_range(start, end, last, zone, datetime.now(UTC))
    if first is not None and behind is not None and first >= behind:
        raise usage("--from must be before --to")
    return first, behind


@dataclass(frozen=True, slots=True)
class RangeOptions:
    """The options for the range of a report."""

    start: Start = None
    end: End = None
    last: Last = None
    zone_name: Zone = "UTC"

    def read(self) -> Range:
        """Return the range, now; the errors are those of `read_range`, and of an unknown zone."""
        return read_range(self.start, self.end, self.last, zone(self.zone_name))

    def _read_query(self, texts: list[str] | None, **more: Any) -> "Callable[[Offerlog], ReportQuery]":
        """Read the range now, and return a builder of the query, which looks the action maps up."""
        first, behind = self.read()
        from offerlog_application.ports.performance_counts import ReportQuery  # noqa: PLC0415 - --help need not wait for it

        def build(service: "Offerlog") -> ReportQuery:
            maps = service.analysis.find_action_maps(texts or ())
            where = zone(self.zone_name)
            return ReportQuery(service.organization, first, behind, where, action_maps=maps, **more)

        return build


@dataclass(frozen=True, slots=True)
class MapRangeOptions(RangeOptions):
    """The options for a range and the action maps in it."""

    action_map: OnlyMaps = None

    def read_query(
        self, *, count_by: CountBy = CountBy.ACTIONS, cohort: Cohort = Cohort.EVENT
    ) -> "Callable[[Offerlog], ReportQuery]":
        """Read the range now, and return the builder of the query for an open service.

        Raises:
            CalendarError: A time or the zone is not one.
            UsageError: The range ends before it begins.
        """
        return self._read_query(self.action_map, count_by=count_by, cohort=cohort)


@dataclass(frozen=True, slots=True)
class OfferRangeOptions(MapRangeOptions):
    """The options for the offers of a range: of which action maps and media type."""

    media_type: OnlyMediaType = None

    def read_query(
        self, *, count_by: CountBy = CountBy.ACTIONS, cohort: Cohort = Cohort.EVENT
    ) -> "Callable[[Offerlog], ReportQuery]":
        """Read the range now; as `MapRangeOptions.read_query`."""
        return self._read_query(self.action_map, count_by=count_by, cohort=cohort, media_type=self.media_type)


@dataclass(frozen=True, slots=True)
class ActionMapsOptions(OfferRangeOptions):
    """The options for an action maps report."""

    by_version: Annotated[
        bool, typer.Option("--by-version", help="Show each version of a map, and compare it with another.")
    ] = False
    baseline: Annotated[
        int | None,
        typer.Option(
            min=-(2**63),
            max=2**63 - 1,
            metavar="VERSION",
            help="Compare each version with this one. [dim]Default: with the version before[/]",
            show_default=False,
        ),
    ] = None
    count_by: Annotated[CountBy, typer.Option(help="Count actions, or distinct visitors per row.")] = (
        CountBy.ACTIONS
    )
    cohort: CohortOfReport = Cohort.OFFERED

    def read_query(
        self, *, count_by: CountBy | None = None, cohort: Cohort | None = None
    ) -> "Callable[[Offerlog], ReportQuery]":
        """Read the range now; as `MapRangeOptions.read_query`. The options say what is counted."""
        return OfferRangeOptions.read_query(
            self, count_by=count_by or self.count_by, cohort=cohort or self.cohort
        )


@dataclass(frozen=True, slots=True)
class ReportOptions(RangeOptions):
    """The options for a performance report."""

    by: Annotated[Granularity, typer.Option("--by", help="Size of a bucket.")] = Granularity.TOTAL
    action_map: OnlyMaps = None
    media_type: OnlyMediaType = None
    view: MetricsOfReport = MetricSet.REPORT
    count_by: Annotated[CountBy, typer.Option(help="Count actions, or distinct visitors per bucket.")] = (
        CountBy.ACTIONS
    )
    cohort: CohortOfReport = Cohort.EVENT

    def read_query(self) -> "Callable[[Offerlog], ReportQuery]":
        """Read the range now; as `MapRangeOptions.read_query`."""
        return self._read_query(
            self.action_map,
            by=self.by,
            view=self.view,
            count_by=self.count_by,
            cohort=self.cohort,
            media_type=self.media_type,
        )
