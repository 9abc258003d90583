"""The command action-maps: each action map by media type, and its versions compared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer
from rich.text import Text

from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import COMPARED_RATES, RATES, Cohort, has_rate
from offerlog_infrastructure.cli.analysis import AnalystReport, run_report
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.output import console, fits, table
from offerlog_infrastructure.cli.report_options import ActionMapsOptions
from offerlog_infrastructure.cli.report_output import OutputOptions
from offerlog_infrastructure.export.report_sheets import sheet_of_action_maps
from offerlog_infrastructure.presentation.action_maps_documents import (
    describe_action_maps_report,
    describe_difference,
)
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.reading.action_maps import ActionMapsReport, ActionMapsRow

_NONE: Final = "\u2013"

_OVER: Final = "offered % is offered \u00f7 qualified: above 100 %, offers came without a qualified signal."


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "action-maps",
        cls=OfferlogCommand,
        epilog='[dim]Example:[/] offerlog action-maps --by-version --action-map "Checkout help" --last 4w',
    )(action_maps)


@spread_groups
def action_maps(asked: ActionMapsOptions, wanted: OutputOptions, store: StoreOptions) -> None:
    """Show each action map by media type: qualified, blocked, offered, accepted, engaged, rejected.

    Of the offers made in a range. --by-version shows each version of a map,
    and compares it with the version before or with the --baseline: the
    difference of the rates, with its 95 % interval.
    """

    def make(service: "Offerlog", query: "ReportQuery") -> "ActionMapsReport":
        return service.analysis.action_maps_report(
            query, by_version=asked.by_version or None, baseline=asked.baseline
        )

    report = AnalystReport(make, sheet_of_action_maps, describe_action_maps_report, _show)
    run_report(report, asked, wanted, store)


def _show(made: "ActionMapsReport") -> None:
    """Print the report for people: a table, or where it is too wide a line for each row."""
    out = console()
    if not made.rows:
        out.print("Nothing was counted there. `offerlog action-maps` without options covers all time.")
        return
    columns = ["action map", "type", *(["version"] if made.by_version else []), *_NUMBERS]
    rows = table(out, columns, numbers=len(_NUMBERS))
    for row in made.rows:
        version = [_name_version(row)] if made.by_version else []
        rows.add_row(_heading(row), row.media_type or "unknown", *version, *_list_figures(row))
    if fits(out, rows):
        out.print(rows)
    else:
        for row in made.rows:
            version_here = f"version {_name_version(row)}, " if made.by_version else ""
            out.print(Text.assemble(_heading(row), f", {row.media_type or 'unknown'}"), soft_wrap=True)
            figures = zip(_NUMBERS, _list_figures(row), strict=True)
            out.print(
                "  " + version_here + ", ".join(f"{name} {figure}" for name, figure in figures),
                soft_wrap=True,
            )
    if any((row.rates[State.OFFERED.value] or 0) > 1 for row in made.rows):
        out.print(_OVER, soft_wrap=True)
    if made.by_version:
        _show_comparisons(made)


def _show_comparisons(made: "ActionMapsReport") -> None:
    out = console()
    if made.query.cohort is not Cohort.OFFERED:
        out.print("Versions are compared by the time of the offer only: --cohort offered.")
        return
    compared = [row for row in made.rows if row.comparison is not None]
    if not compared:
        out.print("No version is compared: no map has two versions that made offers, with one media type.")
    for row in compared:
        out.print(Text.assemble("\n", _heading(row), f", {row.media_type}"), soft_wrap=True)
        for rate in COMPARED_RATES:
            sentence = describe_difference(row, rate, made.query.count_by) or _explain_none(row, rate)
            out.print(f"  {sentence}", soft_wrap=True)


def _explain_none(row: "ActionMapsRow", rate: str) -> str:
    """Say why versions are not compared by a rate."""
    part, whole = RATES[rate]
    if not has_rate(row.media_type, rate):
        why = f"offers of this media type do not reach {part.value}"
    elif row.rates[rate] is None:
        why = f"version {row.version} has no {whole.value}"
    else:
        why = f"no {whole.value} of the other version, or signals of one action named different versions"
    return f"{part.value} \u00f7 {whole.value} is not compared: {why}."


_NUMBERS: Final = (
    *("qualified", "blocked", "offered", "offered %", "accepted", "accepted %"),
    *("engaged", "engaged %", "rejected"),
)


def _list_figures(row: "ActionMapsRow") -> Sequence[str]:
    """Return the figures of a row, in the order of `_NUMBERS`."""
    return [
        f"{row.counts[State.QUALIFIED]:,}",
        _NONE if row.blocked is None else f"{row.blocked:,}",
        *(
            figure
            for state in (State.OFFERED, State.ACCEPTED, State.ENGAGED)
            for figure in (f"{row.counts[state]:,}", _percent(row.rates[state.value]))
        ),
        f"{row.counts[State.REJECTED]:,}",
    ]


def _heading(row: "ActionMapsRow") -> Text:
    name = f"{spell_out(row.action_map_name)} " if row.action_map_name else ""
    return Text.assemble(name, (row.action_map_id, "dim"))


def _name_version(row: "ActionMapsRow") -> str:
    return "unknown" if row.version is None else str(row.version)


def _percent(rate: float | None) -> str:
    return _NONE if rate is None else f"{rate:.1%}"
