"""The command archive: cold visitor-offers go from the table into files."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.wording import format_count
from offerlog_domain.errors import OfferlogError
from offerlog_domain.stream_ids import format_slices
from offerlog_infrastructure.archive.places import is_url, place_of_server
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.exit_codes import ExitCode, code_of
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.durations import read_period

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.archive import ArchivedPart, ArchiveFigures

_LEAST = timedelta(days=1)
"""The shortest age. Younger visitor-offers get signals all the time, each of which then reads a file."""

_MOST = timedelta(days=36_500)
"""The greatest age: a hundred years. Far greater ones have no date."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog archive --older-than 90d --folder /mnt/archive/offerlog",
    )(archive)


@spread_groups
def archive(
    *,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="Move what is at rest for so long, such as 90d; at least 1d.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            metavar="DIR|URL",
            help="The place of the files, the same on all machines, or a URL such as s3://bucket/offerlog."
            " Later runs know it.",
            show_default=False,
        ),
    ] = None,
    shrink: Annotated[
        bool,
        typer.Option(help="Rewrite the table afterwards, slice by slice, so that it takes less room."),
    ] = True,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Move the events of cold visitor-offers from the database into files.

    Cold is a visitor-offer whose newest action is over, and of which nothing
    waits. Services go on meanwhile, and everything is answered as before:
    histories, reports, proofs, late signals, erasures. All processes of the
    store need the folder from then on, and the extra archive. Whatever
    interrupts the command, the next run goes on. Exit code 5 if a part of
    the table could not be rewritten: run the same command again. Of several
    servers, each has its own part of the folder; if one is down, the others
    go on, and the exit code is that of its error.
    """
    period = _read_period(older_than)
    place = None if folder is None else _read_place(folder)
    with store.open(Access.MAINTAIN) as service:
        services = service.services_of_servers()
        is_only = len(services) == 1
        errors: list[OfferlogError] = []
        left: dict[int, Sequence[int]] = {}
        for number, one in services.items():
            try:
                if isinstance(one, StoreUnavailableError):
                    raise one
                done = _archive_one(one, period, place_of_server(place, number), shrink=shrink)
            except OfferlogError as error:
                if is_only:
                    raise
                errors.append(error)  # the other servers go on
                typer.echo(f"offerlog: shard {number}: nothing more was moved: {error}", err=True)
                continue
            left[number] = done.left
            with telling("the events are moved"):
                if form is Form.JSON:
                    print_json(({} if is_only else {"shard": number}) | _describe(done))
                else:
                    _print(done, None if is_only else number)
    for number, slices in left.items():
        _warn_of(slices, "" if is_only else f" on shard {number}")
    if errors:
        raise typer.Exit(code_of(errors[0]))
    if any(left.values()):
        raise typer.Exit(ExitCode.NEEDS_ATTENTION)


def _read_place(folder: str) -> str:
    """Return the place of the files: an absolute path, or a URL of what outlives this command."""
    if folder == "":
        raise usage("--folder: an empty name is no folder: see whether a variable in the call is not set")
    if not is_url(folder):
        return str(Path(folder).expanduser().absolute())
    systems = {part.partition("://")[0] for part in folder.split("::")}
    if "memory" in systems:
        raise usage(f"--folder: {folder} is gone when this command ends, and the events with it")
    if systems & {"file", "local"}:  # written by fsspec, which does not flush it to the disk
        raise usage(f"--folder: give the path of the folder alone, and not {folder}")
    return folder


def _read_period(older_than: str) -> timedelta:
    try:
        period = read_period(older_than)
    except ValueError:
        period = None
    if not isinstance(period, timedelta) or not _LEAST <= period <= _MOST:
        raise usage(f"--older-than: give one day to {_MOST.days:,} days, such as 90d, not {older_than!r}")
    return period


def _warn_of(left: Sequence[int], where: str) -> None:
    if left:
        typer.echo(
            f"offerlog: other sessions held the slices {format_slices(left)} of the table{where}, which"
            " did not shrink: run the same command again",
            err=True,
        )


class _Done(NamedTuple):
    """One run on one server.

    Attributes:
        part: What was moved.
        before: The archive before.
        after: The archive afterwards.
        left: The slices of the table that did not shrink.
    """

    part: "ArchivedPart"
    before: "ArchiveFigures"
    after: "ArchiveFigures"
    left: Sequence[int]


def _archive_one(service: "Offerlog", period: timedelta, place: str | None, *, shrink: bool) -> _Done:
    """Move the cold visitor-offers of one server."""
    archiver = service.archiver
    assert archiver is not None  # noqa: S101 - no command opens a log in memory
    with event_bar("archiving", "visitor-offers") as on_progress:
        service.catch_up()
        if service.evidence is not None:
            service.evidence.catch_up()
        before = archiver.figures()
        part = archiver.move(period, place, on_progress)
        left = archiver.shrink(on_progress) if shrink else ()
        return _Done(part, before, archiver.figures(), left)


def _print(done: _Done, number: int | None) -> None:
    out, (part, before, after, _) = console(), done
    rows = table(out, ["" if number is None else f"shard {number}", "moved now", "in the archive"], numbers=2)
    rows.add_row("events", f"{part.events:,}", f"{after.events:,}")
    rows.add_row("files", f"{part.files:,}", f"{after.files:,}")
    rows.add_row("bytes", f"{part.bytes:,}", f"{after.bytes:,}")
    out.print(rows)
    out.print(
        f"{format_count(part.streams, 'visitor-offer')} moved to {after.place}. The table of events and its"
        f" indexes take {after.table_bytes:,} bytes; before: {before.table_bytes:,}."
    )


def _describe(done: _Done) -> dict[str, Any]:
    part, before, after, left = done
    return {
        "archive": after.place,
        "position": part.position,
        "visitor_offers": part.streams,
        "events": part.events,
        "files": part.files,
        "bytes": part.bytes,
        "archived_events": after.events,
        "archived_files": after.files,
        "archived_bytes": after.bytes,
        "table_bytes_before": before.table_bytes,
        "table_bytes": after.table_bytes,
        "slices_left": list(left),
    }
