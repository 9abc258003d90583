"""The performance report and the action maps report as tables."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from offerlog_application.reading.tables import Column, ColumnKind, Table
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import ACTION_MAPS_RATES, COMPARED_RATES, METRICS, REPORT_RATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offerlog_application.reading.action_maps import ActionMapsReport, ActionMapsRow
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


def tabulate_action_maps(report: ActionMapsReport) -> Table:
    """Lay an action maps report out as a table: a row for each action map and media type, or also version.

    By version, the columns of the comparison follow: the baseline, and of each rate the difference and the
    limits of its 95 % interval, as fractions of 1.
    """
    limits = ("difference", "low", "high")
    columns = [
        Column("action_map_id", ColumnKind.WORD),
        Column("action_map_name", ColumnKind.TEXT),
        Column("media_type", ColumnKind.WORD),
        *([Column("action_map_version", ColumnKind.INTEGER)] if report.by_version else []),
        *(Column(name, ColumnKind.INTEGER) for name in _ACTION_MAPS_COUNTS),
        *(Column(f"{name}_rate", ColumnKind.NUMBER) for name in ACTION_MAPS_RATES),
    ]
    if report.by_version:
        columns.append(Column("baseline_version", ColumnKind.INTEGER))
        columns += [
            Column(f"{name}_{limit}", ColumnKind.NUMBER) for name in COMPARED_RATES for limit in limits
        ]
    rows = [
        (
            row.action_map_id,
            row.action_map_name,
            row.media_type,
            *([row.version] if report.by_version else []),
            *(row.blocked if name == "blocked" else row.counts[State(name)] for name in _ACTION_MAPS_COUNTS),
            *(row.rates[name] for name in ACTION_MAPS_RATES),
            *(_list_comparison(row) if report.by_version else ()),
        )
        for row in report.rows
    ]
    return Table(columns, rows)


_ACTION_MAPS_COUNTS: Final = ("qualified", "blocked", "offered", "accepted", "engaged", "rejected")


def _list_comparison(row: ActionMapsRow) -> Sequence[float | None]:
    if row.comparison is None:
        return [None] * (1 + 3 * len(COMPARED_RATES))
    differences = row.comparison.differences
    return [
        row.comparison.baseline,
        *(value for name in COMPARED_RATES for value in differences[name] or (None, None, None)),
    ]
