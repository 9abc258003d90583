"""The canonical text of a report and of its query: the digest of an issued report is made of it."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.performance_report import PerformanceReport
from offerlog_domain.metrics import METRICS, Cohort, CountBy, Granularity, MetricSet


def query_text(query: ReportQuery) -> str:
    """Write a query as JSON: the parameters of the report without the organization, sorted by name.

    A media type is left out where the query has none, so that the text of older reports stays the same.
    """
    parameters = {
        "action_maps": list(query.action_maps),
        "by": query.by.value,
        "cohort": query.cohort.value,
        "count_by": query.count_by.value,
        "from": _format(query.start),
        "to": _format(query.end),
        "view": query.view.value,
        "zone": query.zone.key,
    }
    if query.media_type is not None:
        parameters["media_type"] = query.media_type
    return json.dumps(parameters, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def read_query(text: str, organization: str) -> ReportQuery:
    """Read what `query_text` has written."""
    given: dict[str, Any] = json.loads(text)
    return ReportQuery(
        organization,
        None if given["from"] is None else datetime.fromisoformat(given["from"]),
        None if given["to"] is None else datetime.fromisoformat(given["to"]),
        ZoneInfo(given["zone"]),
        Granularity(given["by"]),
        tuple(given["action_maps"]),
        MetricSet(given["view"]),
        CountBy(given["count_by"]),
        Cohort(given["cohort"]),
        given.get("media_type"),
    )


def report_text(made: PerformanceReport) -> bytes:
    """Write a report as its canonical text: one line of JSON for the query, then one for each row.

    A row is `[map, name, bucket, counts]`; the counts stand in the order of the metrics. Rates follow from
    counts, so they are left out.
    """
    wanted = [METRICS[state] for state in made.query.view.states]
    lines = [query_text(made.query)]
    for row in made.rows:
        counts = [row.metrics[metric] for metric in wanted]
        cells = [row.action_map_id, row.action_map_name, row.bucket, counts]
        lines.append(json.dumps(cells, ensure_ascii=False, separators=(",", ":")))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _format(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
