"""offerlog report: Action Map Performance."""

import csv
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offerlog_application.calendar import Granularity, instant, zone
from offerlog_domain.metrics import METRICS, Cohort, CountBy, View
from offerlog_infrastructure.cli.options import Data, Organization, open_service
from offerlog_infrastructure.cli.output import console, print_json, table, usage

if TYPE_CHECKING:
    from offerlog_application.reports import Report

_PREFIX = "nWebActions"


class Format(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="[dim]Example:[/] offerlog report --by day --zone Europe/Berlin --from 2026-11-01 --view full",
    )(report)


def report(
    data: Data = None,
    organization: Organization = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="The first instant that counts: a date, or a time to the quarter-hour.",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The first instant that counts no longer.")
    ] = None,
    zone_name: Annotated[
        str,
        typer.Option("--zone", metavar="ZONE", help="Whose days and hours: a name such as Asia/Kathmandu."),
    ] = "UTC",
    by: Annotated[Granularity, typer.Option("--by", help="The size of a bucket.")] = Granularity.TOTAL,
    action_map: Annotated[
        list[str] | None,
        typer.Option("--action-map", metavar="ID", help="Only this map; may be given again."),
    ] = None,
    view: Annotated[
        View, typer.Option(help="report leaves out Ignored, Errored and Timed Out.")
    ] = View.REPORT,
    count_by: Annotated[
        CountBy, typer.Option(help="Actions, or distinct visitors in the bucket.")
    ] = CountBy.ACTIONS,
    cohort: Annotated[
        Cohort, typer.Option(help="offered puts each action's whole funnel where its offer was made.")
    ] = Cohort.EVENT,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show Action Map Performance: how often each map's offer was made, taken and turned down.

    Days, weeks and months are those of the zone, exact through changes of the clocks. Accepted and Rejected
    together may exceed Offered: a visitor who accepted may still cancel the form.
    """
    where = zone(zone_name)
    first = instant(start, where, "from") if start is not None else None
    last = instant(end, where, "to") if end is not None else None
    if first is not None and last is not None and first >= last:
        raise usage("--from must be before --to")
    from offerlog_application.reports import ReportQuery  # noqa: PLC0415 - --help need not wait for it

    with open_service(data, organization) as service:
        query = ReportQuery(
            organization=service.organization,
            start=first,
            end=last,
            zone=where,
            by=by,
            action_maps=tuple(service.action_map(one) for one in action_map or ()),
            view=view,
            count_by=count_by,
            cohort=cohort,
        )
        made = service.report(query)
    match form:
        case Format.JSON:
            print_json(_document(made))
        case Format.CSV:
            _print_csv(made)
        case Format.TABLE:
            show_report(made)


def _document(made: "Report") -> dict[str, Any]:
    query = made.query
    return {
        "from": query.start.astimezone(query.zone).isoformat() if query.start else None,
        "to": query.end.astimezone(query.zone).isoformat() if query.end else None,
        "zone": query.zone.key,
        "by": query.by.value,
        "rows": [
            {
                "action_map_id": row.action_map_id,
                "action_map_name": row.action_map_name,
                "bucket": row.bucket,
                "metrics": dict(row.metrics),
                "rates": dict(row.rates),
            }
            for row in made.rows
        ],
    }


def _print_csv(made: "Report") -> None:
    metrics = [METRICS[state] for state in made.query.view.states]
    out = csv.writer(sys.stdout)
    out.writerow(["action_map_id", "action_map_name", "bucket", *metrics, "accepted_rate", "engaged_rate"])
    for row in made.rows:
        rates = [row.rates["accepted"], row.rates["engaged"]]
        out.writerow(
            [row.action_map_id, row.action_map_name, row.bucket, *(row.metrics[m] for m in metrics), *rates]
        )


def show_report(made: "Report") -> None:
    """Print a report for people."""
    query = made.query
    if not made.rows:
        console().print("Nothing was counted there. `offerlog report` without options covers all time.")
        return
    span = " ".join(
        f"{word} {moment.astimezone(query.zone).isoformat()}"
        for word, moment in (("from", query.start), ("to", query.end))
        if moment is not None
    )
    what = "visitors" if query.count_by is CountBy.VISITORS else "actions"
    when = ", placed where they were offered" if query.cohort is Cohort.OFFERED else ""
    title = f"Action Map Performance: {what}{when}, {span or 'all time'} ({query.zone.key})"
    bucketed = query.by is not Granularity.TOTAL
    metrics = [METRICS[state] for state in query.view.states]
    columns = ["action map", *(["bucket"] if bucketed else []), *(m.removeprefix(_PREFIX) for m in metrics)]
    rows = table(title, [*columns, "accepted %", "engaged %"], numbers=len(metrics) + 2)
    before = None
    for row in made.rows:
        name = (
            f"{row.action_map_name or ''} [dim]{row.action_map_id}[/]" if row.action_map_id != before else ""
        )
        before = row.action_map_id
        rates = (_percent(row.rates[rate]) for rate in ("accepted", "engaged"))
        bucket = [row.bucket or ""] if bucketed else []
        rows.add_row(name.strip(), *bucket, *(f"{row.metrics[m]:,}" for m in metrics), *rates)
    console().print(rows)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
