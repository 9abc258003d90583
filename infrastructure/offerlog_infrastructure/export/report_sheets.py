"""Builders of sheets: a report as one table, for CSV, Excel and Parquet."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING, Any, Final

from offerlog_application.reading.report_table import tabulate_action_maps, tabulate_performance
from offerlog_application.reading.tables import Column, ColumnKind
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import FUNNEL_RATES, OfferEnd
from offerlog_infrastructure.export.report_files import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.reading.action_maps import ActionMapsReport
    from offerlog_application.reading.analysis import BlockedOffers, OfferTimes
    from offerlog_application.reading.funnel import Funnel
    from offerlog_application.reading.performance_report import PerformanceReport


_MAP_COLUMNS: Final = (
    Column("action_map_id", ColumnKind.WORD),
    Column("action_map_name", ColumnKind.TEXT),
)

_STEPS: Final = (State.OFFERED, State.ACCEPTED, State.STARTED, State.ENGAGED)


def sheet_of_performance(report: PerformanceReport) -> Sheet:
    """Lay a performance report out as a table: a row for each action map and bucket."""
    columns, rows = tabulate_performance(report)
    return _sheet("action-map-performance", columns, rows, report.query)


def sheet_of_action_maps(report: ActionMapsReport) -> Sheet:
    """Lay an action maps report out as a table: a row for each action map and media type, or version too."""
    columns, rows = tabulate_action_maps(report)
    return _sheet("action-maps", columns, rows, report.query)


def sheet_of_funnel(made: Funnel) -> Sheet:
    """Lay a funnel out as a table: a row for each action map, and the total without a map at the end."""
    columns = [
        *_MAP_COLUMNS,
        *(Column(step.value, ColumnKind.INTEGER) for step in _STEPS),
        *(Column(f"ended_{end}", ColumnKind.INTEGER) for end in OfferEnd),
        *(Column(f"{name}_rate", ColumnKind.NUMBER) for name in FUNNEL_RATES),
    ]
    rows = (
        [
            part.action_map_id,
            part.action_map_name,
            *(part.steps[step] for step in _STEPS),
            *(part.ends[end] for end in OfferEnd),
            *(part.rates[name] for name in FUNNEL_RATES),
        ]
        for part in (*made.parts, made.total)
    )
    return _sheet("funnel", columns, rows, made.query)


def sheet_of_blocked_offers(made: BlockedOffers) -> Sheet:
    """Lay blocked offers out as a table: a row for each action map and reason, and the total at the end."""
    counts = ("blocked", "remembered", "visitors", "sessions")
    columns = [
        *_MAP_COLUMNS,
        Column("reason", ColumnKind.WORD),
        *(Column(name, ColumnKind.INTEGER) for name in counts),
    ]
    rows = (
        [
            one.action_map_id,
            None if one.action_map_id is None else made.names.get(one.action_map_id),
            one.reason,
            *(getattr(one, name) for name in counts),
        ]
        for one in (*made.parts, made.total)
    )
    return _sheet("blocked-offers", columns, rows, made.query)


def sheet_of_offer_times(made: OfferTimes) -> Sheet:
    """Lay the times of steps out as a table: a row for each action map and step; the total has no map."""
    columns = [
        *_MAP_COLUMNS,
        Column("step", ColumnKind.WORD),
        Column("actions", ColumnKind.INTEGER),
        Column("median_seconds", ColumnKind.NUMBER),
        Column("p90_seconds", ColumnKind.NUMBER),
    ]
    parts = [*made.parts.items(), (None, made.total)]
    rows = (
        [action_map, None if action_map is None else made.names.get(action_map), step.value, *times]
        for action_map, steps in parts
        for step, times in steps.items()
    )
    return _sheet("times", columns, rows, made.query)


def _sheet(name: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], query: ReportQuery) -> Sheet:
    return Sheet(name, columns, rows, query.zone, query.start, query.end)
