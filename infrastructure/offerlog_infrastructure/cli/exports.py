"""The commands export: events, actions and the performance report, as files for other tools."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from offerlog_application.wording import format_count
from offerlog_domain.metrics import MetricSet
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import file_name
from offerlog_infrastructure.cli.output import print_json, refusing_arguments, usage
from offerlog_infrastructure.cli.positions import read_position
from offerlog_infrastructure.cli.report_options import (
    ActionMapsOptions,
    MetricsOfReport,
    OfferRangeOptions,
    ReportOptions,
)
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.presentation.documents import show_position

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.reading.exports import Export, ExportRequest
    from offerlog_application.reading.tables import Table

_STDOUT = Path("-")
_OTHER_FORMATS = frozenset({".xlsx", ".xls", ".ods", ".gz", ".bz2", ".xz", ".zst", ".zip"})
"""Endings of files that a spreadsheet or an unpacker opens; no export is one."""
_PRIVATE = 0o600
_PUBLIC = 0o666

Place = Annotated[
    Path,
    typer.Argument(
        metavar="[FILE]",
        parser=file_name,
        help="The new file, which replaces an older one. [dim]Default: standard output[/]",
        show_default=False,
    ),
]
Format = Annotated[
    ExportFormat | None,
    typer.Option("--format", help="[dim]Default: by the ending of FILE, else ndjson[/]", show_default=False),
]
After = Annotated[
    str,
    typer.Option(metavar="POSITION", help="Only what is new since this position of the log."),
]
UpTo = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="POSITION",
        help="The log as it was up to this position. [dim]Default: all of it[/]",
        show_default=False,
    ),
]
WithCustomers = Annotated[
    bool,
    typer.Option("--with-customers", help="Add what identifies visitors: it is opened, and in clear there."),
]


@dataclass(frozen=True, slots=True)
class _FileOptions:
    """The options for the file of an export."""

    place: Place = _STDOUT
    form: Format = None


@dataclass(frozen=True, slots=True)
class _LogOptions:
    """The options for a part of the log."""

    after: After = "0"
    as_of: UpTo = None
    with_customers: WithCustomers = False


@dataclass(frozen=True, slots=True)
class _FullReportOptions(ReportOptions):
    """The options for a report that has all metrics unless others are asked for."""

    view: MetricsOfReport = MetricSet.FULL
    as_of: UpTo = None


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    export = typer.Typer(
        cls=OfferlogGroup,
        help="Export events, actions and reports as Parquet, CSV, NDJSON or Arrow.",
        no_args_is_help=True,
        callback=between,
    )
    export.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog export events november.parquet --from 2026-11-01",
    )(events)
    export.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog export actions --format csv > actions.csv"
    )(actions)
    export.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog export report hours.parquet --by hour"
    )(report)
    export.command(
        "action-maps",
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog export action-maps versions.parquet --by-version",
    )(action_maps)
    app.add_typer(export, name="export")


@spread_groups
def events(file: _FileOptions, asked: OfferRangeOptions, part: _LogOptions, store: StoreOptions) -> None:
    """Export the events of the log, a row each, in order.

    They are the events of the feed: the steps of actions, refused offers,
    erasures of visitors. --from and --to go by the time at which an event
    happened. The position that is printed at the end is the --after of the
    next export.
    """
    _export_log(lambda service: service.exports.events, file, asked, part, store)


@spread_groups
def actions(file: _FileOptions, asked: OfferRangeOptions, part: _LogOptions, store: StoreOptions) -> None:
    """Export the actions, a row each, with the time of each step.

    --from and --to go by the time of the offer. With --after, an action
    that has a new event is exported as a whole: replace the row with the
    same subject and action_number.
    """
    _export_log(lambda service: service.exports.actions, file, asked, part, store)


@spread_groups
def report(file: _FileOptions, asked: _FullReportOptions, store: StoreOptions) -> None:
    """Export the performance report, a row for each map and bucket.

    Unlike `offerlog report`, it has no limit of rows, all nine metrics,
    rates that are not rounded, and a time for each bucket. With --as-of it
    counts the log up to there anew, which takes as long as a rebuild, and
    disturbs no service.
    """
    build_query, place, form = asked.read_query(), file.place, _choose_format(file)
    as_of = read_position("--as-of", asked.as_of)
    from offerlog_application.reading.performance_report import UNLIMITED  # noqa: PLC0415 - as above
    from offerlog_application.reading.report_table import tabulate_performance  # noqa: PLC0415 - as above

    position: dict[str, int | str] = {}
    with store.open() as service:
        query = build_query(service)
        if as_of is None:
            service.catch_up()
            made = service.report(query, UNLIMITED)
        else:
            with event_bar("replaying the log") as on_progress, refusing_arguments():
                made, last = service.exports.report_as_of(query, as_of, on_progress)
            position = {"position": show_position(last)}
    _write_report(place, form, tabulate_performance(made), made.short_by, position)


@spread_groups
def action_maps(file: _FileOptions, asked: ActionMapsOptions, store: StoreOptions) -> None:
    """Export the action maps report, a row for each map and media type, or version.

    It has what `offerlog action-maps --format csv` has, as typed columns.
    """
    build_query, place, form = asked.read_query(), file.place, _choose_format(file)
    from offerlog_application.reading.performance_report import ReportTooLargeError  # noqa: PLC0415 - as above
    from offerlog_application.reading.report_table import tabulate_action_maps  # noqa: PLC0415 - as above

    with store.open() as service, refusing_arguments():
        service.catch_up()
        query = build_query(service)
        try:
            made = service.analysis.action_maps_report(
                query, by_version=asked.by_version or None, baseline=asked.baseline
            )
        except ReportTooLargeError as error:
            raise usage(str(error)) from None
    position = {"position": show_position(made.position)}
    _write_report(place, form, tabulate_action_maps(made), made.short_by, position)


def _write_report(
    place: Path, form: ExportFormat, table: "Table", short_by: int, position: Mapping[str, int | str]
) -> None:
    """Write the table of a report, and say what was exported."""
    from offerlog_infrastructure.export.formats import gather, open_writer  # noqa: PLC0415 - --help need not wait for it

    with _open_place(place, _PUBLIC) as sink, open_writer(form, table.columns, sink) as writer:
        for batch in gather(table.rows):
            writer.write(batch)
    _conclude(place, {"rows": len(table.rows), **position}, short_by, "offerlog projections dead-letters")


def _choose_format(file: _FileOptions) -> ExportFormat:
    """Return the format that is asked for, or that the name of the file ends with."""
    place, form = file.place, file.form
    if form is None:
        known = {f".{one.value}": one for one in ExportFormat}
        ending = place.suffix.lower()
        if ending in _OTHER_FORMATS:
            reports = "; `offerlog report --output` writes Excel files" * (ending == ".xlsx")
            raise usage(
                f"{place}: give a name that ends with .parquet, .arrow, .csv or .ndjson, or --format{reports}"
            )
        form = known.get(ending, ExportFormat.NDJSON)
    if place == _STDOUT and not form.is_text and sys.stdout.isatty():
        raise usage(f"a terminal cannot show {form.value}: name a file, or pipe the output to a program")
    return form


@contextmanager
def _open_place(place: Path, mode: int) -> Iterator[IO[bytes]]:
    if place == _STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    from offerlog_infrastructure.export.destinations import open_file  # noqa: PLC0415 - --help need not wait for it

    with open_file(place, mode) as file:
        yield file


def _export_log(
    choose: Callable[["Offerlog"], Callable[["ExportRequest"], "Export"]],
    file: _FileOptions,
    asked: OfferRangeOptions,
    part: _LogOptions,
    store: StoreOptions,
) -> None:
    """Write an export of the log.

    Args:
        choose: Returns the method of a service that prepares the export.
        file: The file.
        asked: The range, the action maps and the media type.
        part: The part of the log.
        store: The store.
    """
    chosen, form = asked.read(), _choose_format(file)
    from offerlog_application.reading.exports import ExportRequest  # noqa: PLC0415 - --help need not wait for it

    with store.open(project=False) as service:
        maps = service.analysis.find_action_maps(asked.action_map or ())
        after, as_of = read_position("--after", part.after) or 0, read_position("--as-of", part.as_of)
        request = ExportRequest(after, as_of, *chosen, maps, part.with_customers, asked.media_type)
        _write_log(file.place, form, request, choose(service))


def _write_log(
    place: Path,
    form: ExportFormat,
    request: "ExportRequest",
    prepare: Callable[["ExportRequest"], "Export"],
) -> None:
    """Write an export of the log, batch by batch."""
    from offerlog_application.ports.rebuilds import RebuildProgress  # noqa: PLC0415 - --help need not wait for it
    from offerlog_application.reading.read_budget import ReadBudget  # noqa: PLC0415 - as above
    from offerlog_infrastructure.export.formats import open_writer  # noqa: PLC0415 - as above

    with refusing_arguments():
        made = prepare(request)
    rows = damaged = 0
    with (
        ReadBudget(None).active(),
        event_bar("exporting") as on_progress,
        _open_place(place, _PRIVATE if request.is_identified else _PUBLIC) as sink,
        open_writer(form, made.columns, sink) as writer,
    ):
        for batch in made.batches:
            writer.write(batch.rows)
            rows, damaged = rows + len(batch.rows), batch.damaged
            on_progress(RebuildProgress("exporting", batch.read, max(made.total, batch.read)))
    if request.is_identified:
        typer.echo(
            "offerlog: the export identifies visitors: customer, session and action ids in clear", err=True
        )
    _conclude(place, {"rows": rows, "position": show_position(made.as_of)}, damaged, "offerlog audit verify")


def _conclude(place: Path, done: Mapping[str, int | str], short_by: int, advice: str) -> None:
    """Say what was exported: on standard output, or on standard error if the export itself is there."""
    if short_by:
        typer.echo(f"offerlog: short by {format_count(short_by, 'event')}: see {advice}", err=True)
    if place == _STDOUT:
        shown = {name: f"{one:,}" if isinstance(one, int) else one for name, one in done.items()}
        words = ", ".join(f"{name} {one}" for name, one in shown.items())
        typer.echo(f"offerlog: exported {words}", err=True)
        return
    with telling(f"the export is in {place}"):
        print_json({"file": str(place), **done})
