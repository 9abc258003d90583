"""The range of a report, as a request names it: parameters that all reports share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Request

from offerlog_application.reading.instants import zone
from offerlog_application.reading.report_range import report_range
from offerlog_domain.lifecycle import MediaType
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.parameters import calendar_time, zone_of_calendar
from offerlog_infrastructure.http.state import key_of, state_of
from offerlog_infrastructure.http.threads.dispatch import run_report


@dataclass(frozen=True, slots=True)
class RangeOfReport:
    """The range of a report, resolved.

    Attributes:
        start: The first instant that counts; None for all time.
        end: The first instant that counts no longer; None for all time.
        zone: The zone of days and hours.
    """

    start: datetime | None
    end: datetime | None
    zone: ZoneInfo


async def _read_range(
    request: Request,
    start: Annotated[
        str | None,
        calendar_time("from", "The first instant that counts: a date, a time, or a relative time as `-7d`."),
    ] = None,
    end: Annotated[str | None, calendar_time("to", "The first instant that counts no longer.")] = None,
    last: Annotated[
        str | None,
        Query(
            description="So many whole units before the current one: `7d`, `24h`, `4w`, `1mo`. Alone.",
            json_schema_extra={"format": "last-units"},
        ),
    ] = None,
    zone_name: Annotated[str, zone_of_calendar("zone", "Whose days and hours.")] = "UTC",
) -> RangeOfReport:
    """Resolve the range of a report at the time of the service's clock.

    Raises:
        CalendarError: A time or the zone is not one.
        ProblemError: 400, the range ends before it begins.
    """
    of_report = zone(zone_name)
    now = state_of(request).service.analysis.now()
    first, behind = report_range(start, end, last, of_report, now)
    if first is not None and behind is not None and first >= behind:
        raise malformed("to", "it must be later than from")
    return RangeOfReport(first, behind, of_report)


AskedRange = Annotated[RangeOfReport, Depends(_read_range)]
"""The range of a report, by the parameters `from`, `to`, `last` and `zone`."""


AskedMediaType = Annotated[MediaType | None, Query(description="Only offers of this media type.")]
"""The media type of a report."""


def maps_of_report(description: str) -> Any:
    """Build a parameter for action maps, by id or by name."""
    return Query(
        description=description, json_schema_extra={"items": {"type": "string", "format": "action-map"}}
    )


AskedMaps = Annotated[
    list[str] | None, maps_of_report("Only these maps, by id or unique name; may be given again.")
]


async def find_maps(request: Request, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Return the ids of the action maps that a request names; ids alone are not looked up.

    Raises:
        UnknownActionMapError: A text is not an id, and no map or more than one has it as its name.
    """
    if not texts:
        return ()
    analysis = state_of(request).service.analysis
    return await run_report(
        request, analysis.find_action_maps, texts, organization=key_of(request).organization
    )
