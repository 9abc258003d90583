"""The command report: Action Map Performance."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from offerlog_application.reading.instants import instant, zone
from offerlog_domain.identity import parse_action_map_id
from offerlog_domain.metrics import METRICS, Cohort, CountBy, Granularity, MetricSet
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.opening import open_service
from offerlog_infrastructure.cli.options import Data, KeyringFile, Organization
from offerlog_infrastructure.cli.output import console, fits, print_csv, print_json, table, usage
from offerlog_infrastructure.presentation.documents import describe_report, tabulate_report
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.reading.performance_report import PerformanceReport, ReportRow

_PREFIX = "nWebActions"


class Format(StrEnum):
    """The output format of a report."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog report --by day --zone Europe/Berlin --from 2026-11-01",
    )(report)


def report(
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="The first instant counted: a date, or a time to the quarter-hour.",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The first instant that counts no longer.")
    ] = None,
    zone_name: Annotated[
        str,
        typer.Option("--zone", metavar="ZONE", help="Whose days and hours: a name such as Asia/Kathmandu."),
    ] = "UTC",
    by: Annotated[Granularity, typer.Option("--by", help="Size of a bucket.")] = Granularity.TOTAL,
    action_map: Annotated[
        list[str] | None,
        typer.Option("--action-map", metavar="ID", help="Only this map; may be given again."),
    ] = None,
    view: Annotated[
        MetricSet, typer.Option(help="The metrics: report omits Ignored, Errored and Timed Out.")
    ] = MetricSet.REPORT,
    count_by: Annotated[
        CountBy, typer.Option(help="Count actions, or distinct visitors per bucket.")
    ] = CountBy.ACTIONS,
    cohort: Annotated[
        Cohort, typer.Option(help="Count each event at its own time, or at the time of its action's offer.")
    ] = Cohort.EVENT,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TABLE,
    with_proof: Annotated[
        bool,
        typer.Option(
            "--proof",
            help="Add the log position of the report, and the number and digest of its events.",
        ),
    ] = False,
    unlimited: Annotated[
        bool,
        typer.Option("--unlimited", help="Lift the limits of 50,000 buckets, 50,000 rows and 30 seconds."),
    ] = False,
) -> None:
    """Show Action Map Performance: how often each map's offer was made, accepted and rejected.

    Days, weeks and months follow the zone, exactly, also when its clocks
    change. Accepted and Rejected together may exceed Offered: a visitor
    who accepted may still cancel the form.
    """
    where = zone(zone_name)
    first = instant(start, where, "from") if start is not None else None
    last = instant(end, where, "to") if end is not None else None
    if first is not None and last is not None and first >= last:
        raise usage("--from must be before --to")
    if with_proof and form is Format.CSV:
        raise usage("--proof has no place in CSV: give --format table or json")
    from offerlog_application.ports.performance_counts import ReportQuery  # noqa: PLC0415 - --help need not wait for it
    from offerlog_application.reading.performance_report import DEFAULT_LIMITS, UNLIMITED, ReportTooLargeError  # noqa: PLC0415 - --help need not wait for it

    with open_service(data, keyring, organization) as service:
        service.catch_up()
        query = ReportQuery(
            organization=service.organization,
            start=first,
            end=last,
            zone=where,
            by=by,
            action_maps=tuple(parse_action_map_id(one) for one in action_map or ()),
            view=view,
            count_by=count_by,
            cohort=cohort,
        )
        try:
            made = service.report(query, UNLIMITED if unlimited else DEFAULT_LIMITS)
        except ReportTooLargeError as error:
            option = error.field.replace("_", "-")
            raise usage(f"--{option}: {error.cause}; --unlimited lifts this limit") from None
        proof = service.proof("performance") if with_proof else None
    match form:
        case Format.JSON:
            print_json(describe_report(made, proof))
        case Format.CSV:
            print_csv(tabulate_report(made))
        case Format.TABLE:
            show_report(made)
            if proof:
                console().print(
                    f"proof: position {proof.position:,}, {proof.events:,} events, digest {proof.digest}"
                )
    if made.short_by and form is not Format.JSON:
        console(stderr=True).print(_short(made))


def _short(made: "PerformanceReport") -> str:
    return f"short by {made.short_by:,} events: see offerlog projections dead-letters"


def show_report(made: "PerformanceReport") -> None:
    """Print a report for people."""
    out = console()
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
        f"{word} {moment.astimezone(query.zone).isoformat()}"
        for word, moment in (("from", query.start), ("to", query.end))
        if moment is not None
    )
    what = "visitors" if query.count_by is CountBy.VISITORS else "actions"
    size = "in total" if query.by is Granularity.TOTAL else f"by {query.by}"
    when = ", placed where they were offered" if query.cohort is Cohort.OFFERED else ""
    return f"Action Map Performance: {what}{when}, {size}, {span or 'all time'} ({query.zone.key})"


def _heading(row: "ReportRow") -> Text:
    name = f"{spell_out(row.action_map_name)} " if row.action_map_name else ""
    return Text.assemble(name, (row.action_map_id, "dim"))


def _figures(row: "ReportRow") -> list[str]:
    rates = (_percent(row.rates[rate]) for rate in ("accepted", "engaged"))
    return [*(f"{count:,}" for count in row.metrics.values()), *rates]


def _percent(rate: float | None) -> str:
    return "\u2013" if rate is None else f"{rate:.1%}"
