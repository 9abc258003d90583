"""The command import genesys: web action events from saved pages of the vendor's API into the log."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_application.ports.positions import LogPosition, PositionVector, latest_position
from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.batches_in_order import record_in_order
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.genesys_pages import GenesysPage, read_pages
from offerlog_infrastructure.cli.import_cursor import ImportCursor, open_cursor
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import file_name
from offerlog_infrastructure.cli.output import console
from offerlog_infrastructure.cli.record import check_call, show_outcomes
from offerlog_infrastructure.cli.recording import Tally
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

_IN_FLIGHT: Final = 4
"""Pages without an answer: they have 200 events at most."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    importing = typer.Typer(
        cls=OfferlogGroup,
        help="Record what another system has kept.",
        no_args_is_help=True,
        callback=between,
    )
    importing.command(
        name="genesys",
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog import genesys pages/*.json --cursor genesys.cursor",
    )(import_genesys)
    app.add_typer(importing, name="import")


@spread_groups
def import_genesys(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            parser=file_name,
            metavar="FILE",
            help="Pages as JSON, one or many in a file, also .gz; - is stdin.",
        ),
    ],
    cursor: Annotated[
        Path | None,
        typer.Option(
            parser=file_name,
            metavar="CURSOR",
            help="Note recorded pages in this file, and leave out those that it names.",
        ),
    ] = None,
    store: StoreOptions,
) -> None:
    """Record saved pages of Genesys Cloud's session events.

    A page is an answer of GET /api/v2/journey/sessions/{sessionId}/events
    (permission journey:event:view), with its events in `entities`. Web
    action events and events of blocked offers are recorded; other events
    are counted and left out, and so is what no signal has, such as
    browsers, places and addresses. A second run changes nothing; with
    --cursor it is quick, too.
    """
    check_call(files)
    tally: Tally = Counter()
    seen = _Seen()
    with (
        store.open(Access.WRITE) as service,
        open_cursor(cursor, service.organization, service.position() if cursor else 0) as noted,
    ):
        try:
            position = _import_files(service, files, noted, tally, seen)
        finally:
            _show(tally, seen)
        service.wait(position)


class _Seen:
    """Counts of what was read.

    Attributes:
        pages: Pages that were read.
        known: Of these, those that the cursor names.
        others: Events that are not about web actions, by type.
    """

    def __init__(self) -> None:
        self.pages = 0
        self.known = 0
        self.others: Counter[str] = Counter()


def _import_files(
    service: "Offerlog", files: Sequence[Path], noted: ImportCursor | None, tally: Tally, seen: _Seen
) -> LogPosition | None:
    """Record the pages of files in order, with a progress bar on a terminal; returns the last position."""
    position: LogPosition | None = None
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pages]:,} pages, {task.fields[signals]:,} events"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=len(files), pages=0, signals=0)
        for path in files:
            bar.update(task, description=spell_out(path.name))
            for page, receipt in record_in_order(service, _new_pages(path, noted, seen), _IN_FLIGHT):
                tally.update(
                    (one.kind.value, one.reason.value if one.reason else None) for one in receipt.outcomes
                )
                seen.others.update(page.others)
                position = latest_position((position, receipt.position))
                if noted is not None:
                    assert not isinstance(receipt.position, PositionVector)  # noqa: S101 - see `open_cursor`
                    noted.add(page.digest, page.place, receipt.position, page.behind)
                bar.update(task, pages=seen.pages, signals=tally.total())
            bar.advance(task)
    return position


def _new_pages(
    path: Path, noted: ImportCursor | None, seen: _Seen
) -> Iterator[tuple[GenesysPage, Sequence[Any]]]:
    """Yield the pages of a file that are not recorded yet, with their signals."""
    for page in read_pages(path):
        seen.pages += 1
        if noted is not None and noted.has(page.digest):
            seen.known += 1
            continue
        yield page, page.signals


def _show(tally: Tally, seen: _Seen) -> None:
    """Print what became of the pages."""
    out = console()
    with telling("what the pages hold is recorded"):
        known = f", {seen.known:,} of them recorded before" if seen.known else ""
        out.print(f"{format_count(seen.pages, 'page')}{known}")
        if tally or not seen.known:
            show_outcomes(tally)
        for kind, count in seen.others.most_common():
            out.print(f"left out: {count:,} {spell_out(kind)}")
