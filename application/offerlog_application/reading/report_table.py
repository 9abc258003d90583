"""The performance report as a table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from offerlog_application.reading.tables import Column, ColumnKind, Table
from offerlog_domain.metrics import METRICS, REPORT_RATES

if TYPE_CHECKING:
    from offerlog_application.reading.performance_report import PerformanceReport


def tabulate_performance(report: PerformanceReport) -> Table:
    """Lay a performance report out as a table: a row for each action map and bucket.

    `bucket` is the first instant of the bucket, shown in the zone of the report; missing for the total.
    """
    query = report.query
    metrics = [METRICS[state] for state in query.view.states]
    columns = [
        Column("action_map_id", ColumnKind.WORD),
        Column("action_map_name", ColumnKind.TEXT),
        Column("bucket", ColumnKind.TIME, query.zone.key),
        *(Column(one, ColumnKind.INTEGER) for one in metrics),
        *(Column(f"{one}_rate", ColumnKind.NUMBER) for one in REPORT_RATES),
    ]
    rows = [
        (
            row.action_map_id,
            row.action_map_name,
            None if row.bucket is None else datetime.fromisoformat(row.bucket),
            *(row.metrics[one] for one in metrics),
            *(row.rates[one] for one in REPORT_RATES),
        )
        for row in report.rows
    ]
    return Table(columns, rows)
