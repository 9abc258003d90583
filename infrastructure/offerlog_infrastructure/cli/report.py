"""The command report: Action Map Performance."""

import os
from datetime import datetime, tzinfo
from getpass import getuser
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.text import Text

from offerlog_application.wording import format_count
from offerlog_domain.metrics import METRICS, REPORT_RATES, Cohort, CountBy, Granularity
from offerlog_domain.stream_ids import format_slices
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.output import console, fits, table, usage
from offerlog_infrastructure.cli.positions import show_place
from offerlog_infrastructure.cli.report_options import ReportOptions
from offerlog_infrastructure.cli.report_output import Format, OutputOptions, remark_missing
from offerlog_infrastructure.export.report_sheets import sheet_of_performance
from offerlog_infrastructure.presentation.administration_documents import describe_issued
from offerlog_infrastructure.presentation.documents import describe_report
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.reading.issued_reports import IssuedReport
    from offerlog_application.reading.performance_report import PerformanceReport, ReportRow

_PREFIX = "nWebActions"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog report --by day --zone Europe/Berlin --last 7d",
    )(report)


@spread_groups
def report(
    store: StoreOptions,
    asked: ReportOptions,
    wanted: OutputOptions,
    with_proof: Annotated[
        bool,
        typer.Option(
            "--proof",
            help="Add the log position of the report, and the number and digest of its events.",
        ),
    ] = False,
    issue: Annotated[
        bool, typer.Option("--issue", help="Record in the log that this report was given out.")
    ] = False,
    issued_by: Annotated[
        str | None,
        typer.Option(
            "--issued-by",
            metavar="NAME",
            help="Who gives it out; it stays in the log. [dim]Default: your user name[/]",
            show_default=False,
        ),
    ] = None,
    unlimited: Annotated[
        bool,
        typer.Option("--unlimited", help="Lift the limits of 50,000 buckets, 50,000 rows and 30 seconds."),
    ] = False,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Leave out servers that cannot be reached, and name their slices."),
    ] = False,
) -> None:
    """Show Action Map Performance: how often each map's offer was made, accepted and rejected.

    Days, weeks and months follow the zone, exactly, also when its clocks
    change. Accepted and Rejected together may exceed Offered: a visitor
    who accepted may still cancel the form. A report that was recorded as
    issued can be replayed: see `offerlog audit replay`.
    """
    chosen, build_query = wanted.choose_format(), asked.read_query()
    if issued_by is not None and not issue:
        raise usage("--issued-by goes with --issue")
    if with_proof and chosen not in {Format.TABLE, Format.JSON}:
        raise usage("--proof has no place in CSV: give --format table or json")
    if partial and (issue or with_proof):
        raise usage("--partial goes with neither --issue nor --proof, which stand for all")
    from offerlog_application.reading.performance_report import DEFAULT_LIMITS, UNLIMITED, ReportTooLargeError  # noqa: PLC0415 - --help need not wait for it

    with store.open() as service:
        service.catch_up(partial=partial)
        query = build_query(service)
        limits, issued = UNLIMITED if unlimited else DEFAULT_LIMITS, None
        try:
            if issue:
                made, issued = service.issued_reports.issue(query, issued_by or _user(), limits)
            else:
                made = service.report(query, limits, partial=partial)
        except ReportTooLargeError as error:
            option = error.field.replace("_", "-")
            raise usage(f"--{option}: {error.cause}; --unlimited lifts this limit") from None
        proof = service.proof("performance") if with_proof else None
    if chosen is Format.TABLE:
        show_report(made)
        if proof:
            console().print(
                f"proof: position {show_place(proof.position)}, {format_count(proof.events, 'event')},"
                f" digest {proof.digest}"
            )
    else:
        more = {} if issued is None else {"issued": describe_issued(issued)}
        sheet = sheet_of_performance(made)
        wanted.put_out(chosen, sheet, lambda: {**describe_report(made, proof), **more})
    _remark(made, chosen, issued)


def _remark(made: "PerformanceReport", form: Format, issued: "IssuedReport | None") -> None:
    """Say on standard error what a report in this format does not say itself."""
    if issued and form is not Format.JSON:
        typer.echo(
            f"offerlog: recorded as issued at position {issued.position:,}, as of position"
            f" {show_place(issued.as_of_position)}, digest {issued.digest.hex()}",
            err=True,
        )
    if form is not Format.JSON:
        remark_missing(made.short_by)
        if made.missing_slices and form is not Format.TABLE:
            typer.echo(f"offerlog: {_name_missing(made)}", err=True)


def _name_missing(made: "PerformanceReport") -> str:
    of = "slice" if len(made.missing_slices) == 1 else "slices"
    missing = f"visitors of the {of} {format_slices(made.missing_slices)} are missing"
    return f"NOT ALL IS COUNTED: {missing}, as not every server can be reached"


def _user() -> str:
    """Return the name of the user who runs the command; its number where it has no name."""
    try:
        return getuser()
    except (KeyError, OSError, ImportError):
        return str(os.geteuid())


def show_report(made: "PerformanceReport") -> None:
    """Print a report for people. What is missing stands before the figures."""
    out = console()
    if made.missing_slices:
        out.print(Text(_name_missing(made), "bold red"))
    if not made.rows:
        out.print("Nothing was counted there. `offerlog report` without options covers all time.")
        return
    query = made.query
    bucketed = query.by is not Granularity.TOTAL
    metrics = [METRICS[state] for state in query.view.states]
    names = [metric.removeprefix(_PREFIX) for metric in metrics]
    columns = ["action map", *(["bucket"] if bucketed else []), *names, "accepted %", "engaged %"]
    rows = table(out, columns, numbers=len(metrics) + 2, title=_title(query))
    before = None
    for row in made.rows:
        heading = _heading(row) if row.action_map_id != before or not out.is_terminal else Text()
        before = row.action_map_id
        rows.add_row(heading, *([row.bucket or ""] if bucketed else []), *_figures(row))
    if fits(out, rows):
        out.print(rows)
    else:
        _show_narrow(out, made, names)


def _show_narrow(out: Console, made: "PerformanceReport", names: list[str]) -> None:
    """Print a report as one block per map, for narrow terminals."""
    out.print(Text(_title(made.query), "bold"))
    header = ["", *names, "acc. %", "eng. %"]
    lines = [[_bucket(row, made.query.by), *_figures(row)] for row in made.rows]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]

    def shown(cells: list[str]) -> Text:
        figures = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return Text(" ".join([cells[0].ljust(widths[0]), *figures]))

    out.print(shown(header), soft_wrap=True)
    before = None
    for row, cells in zip(made.rows, lines, strict=True):
        if row.action_map_id != before:
            out.print(_heading(row), soft_wrap=True)
        before = row.action_map_id
        out.print(shown(cells), soft_wrap=True)


def _bucket(row: "ReportRow", by: Granularity) -> str:
    """Return a bucket's short label; an hour keeps its offset, as autumn repeats one."""
    if row.bucket is None:
        return "  all time"
    return "  " + (row.bucket[:16] + row.bucket[19:] if by is Granularity.HOUR else row.bucket[:10])


def _title(query: "ReportQuery") -> str:
    span = " ".join(
        f"{word} {_write_moment(moment, query.zone)}"
        for word, moment in (("from", query.start), ("to", query.end))
        if moment is not None
    )
    what = "visitors" if query.count_by is CountBy.VISITORS else "actions"
    size = "in total" if query.by is Granularity.TOTAL else f"by {query.by}"
    when = ", placed where they were offered" if query.cohort is Cohort.OFFERED else ""
    of_type = f" of {query.media_type}" if query.media_type else ""
    return f"Action Map Performance: {what}{of_type}{when}, {size}, {span or 'all time'} ({query.zone.key})"


def _write_moment(moment: datetime, zone: tzinfo) -> str:
    """Write an end of the range as RFC 3339 in the zone of the report; in UTC, it ends with Z."""
    text = moment.astimezone(zone).isoformat()
    return text.removesuffix("+00:00") + "Z" if zone is ZoneInfo("UTC") else text


def _heading(row: "ReportRow") -> Text:
    name = f"{spell_out(row.action_map_name)} " if row.action_map_name else ""
    return Text.assemble(name, (row.action_map_id, "dim"))


def _figures(row: "ReportRow") -> list[str]:
    rates = (_percent(row.rates[rate]) for rate in REPORT_RATES)
    return [*(f"{count:,}" for count in row.metrics.values()), *rates]


def _percent(rate: float | None) -> str:
    return "\u2013" if rate is None else f"{rate:.1%}"
