"""The commands projections: their position, their verification, and rebuilds."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from offerlog_application.ports.rebuilds import ProjectionsDifferError
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.positions import show_place
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.documents import describe_progress, describe_proof, format_time
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

Name = Annotated[str | None, typer.Argument(help="One projection; all if not given.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    projections = typer.Typer(
        cls=OfferlogGroup,
        help="Show the projections' positions, verify them, and rebuild them from the log.",
        no_args_is_help=True,
        callback=between,
    )
    projections.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog projections status")(status)
    projections.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog projections verify")(verify)
    projections.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog projections rebuild performance"
    )(rebuild)
    projections.command(
        name="dead-letters",
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog projections dead-letters --retry",
    )(dead_letters)
    app.add_typer(projections, name="projections")


@spread_groups
def status(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Show each projection's position in the log, and its lag in events and seconds."""
    with store.open(Access.MAINTAIN, project=False) as service:
        found = service.projections()
    out = console()
    rows = table(out, ["projection", "position", "lag (events)", "lag (seconds)"], numbers=3)
    for one in found:
        if form is Form.JSON:
            print_json(describe_progress(one))
        age = "unreadable" if one.lag_seconds is None else f"{one.lag_seconds:.1f}"
        rows.add_row(one.name, f"{one.position:,}", f"{one.lag_events:,}", age)
    if form is Form.TABLE:
        out.print(rows)


@spread_groups
def verify(
    *,
    name: Name = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="Also rebuild them aside and compare every row.")
    ] = False,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Verify against the log that no event was skipped or applied twice.

    Reads the whole log. Exit code 3 if they differ, with the first
    difference; 4 if another rebuild or verification is at work.
    """
    with store.open(Access.MAINTAIN) as service:
        _known(service, name)
        service.catch_up()
        proofs = service.verify(name)
        out = console()
        rows = table(out, ["projection", "proved", "position", "events", "short by"], numbers=3)
        for one in proofs:
            if form is Form.JSON:
                differences = [
                    {"slice": d.slice, "expected": d.expected, "events": d.events} for d in one.differences
                ]
                print_json({**describe_proof(one), "differences": differences})
            figures = [show_place(one.position), *(f"{figure:,}" for figure in (one.events, one.short_by))]
            rows.add_row(one.projection, "no" if one.differences else "yes", *figures)
        if form is Form.TABLE:
            out.print(rows)
        for one in proofs:
            for first in one.differences[:1]:
                typer.echo(
                    f"offerlog: {one.projection}: of the streams that begin with {first.slice:x},"
                    f" {first.events:,}"
                    f" events were folded in where the log holds {first.expected:,}; build it anew:"
                    f" offerlog projections rebuild {_name_of(one.projection)}",
                    err=True,
                )
        if any(one.differences for one in proofs):  # a comparison of rows would not change that
            raise typer.Exit(ExitCode.FOUND_WRONG)
        if contents:
            _rebuild(service, name, swap=False, accept_difference=False)


@spread_groups
def rebuild(
    *,
    name: Name = None,
    accept_difference: Annotated[
        bool, typer.Option("--accept-difference", help="Swap even if old and new differ.")
    ] = False,
    store: StoreOptions,
) -> None:
    """Build a projection anew beside the live one, compare both, and swap.

    Readers use the old tables until then. If the two differ, as they do
    after a change of the code, it shows the differences and asks. The next
    call resumes an interrupted rebuild. Exit code 3 if the two differ, 4 if
    another rebuild or verification is at work.
    """
    with store.open(Access.MAINTAIN) as service:
        _known(service, name)
        try:
            _rebuild(service, name, swap=True, accept_difference=accept_difference)
        except ProjectionsDifferError as differ:
            for line in differ.differences[:10]:
                typer.echo(spell_out(line), err=True)
            if not (sys.stdin.isatty() and typer.confirm("Take the rebuilt one?", err=True)):
                raise
            _rebuild(service, name, swap=True, accept_difference=True)
        reached = _positions(service)
    with telling("the projections are rebuilt, proved and switched"):
        console().print(f"{name or 'all projections'} rebuilt, proved and switched, at position {reached}")


@spread_groups
def dead_letters(
    *,
    retry: Annotated[
        bool, typer.Option("--retry", help="Apply the waiting events again, after the cause is fixed.")
    ] = False,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the dead letters: visitor-offers with an event that failed, of all organizations.

    A bad event stops only its own visitor-offer: its later events wait in
    order, and reports say how many events are missing.
    """
    with store.open(Access.MAINTAIN) as service:
        service.catch_up()
        lifted = service.retry_dead_letters() if retry else None
        found = service.dead_letters()
    out = console()
    rows = table(out, ["projection", "stream", "event", "error", "position", "waiting"], numbers=2)
    for one in found:
        if form is Form.JSON:
            print_json(
                {
                    "projection": one.projection,
                    "stream": str(one.stream),
                    "position": one.position,
                    "version": one.version,
                    "stored_as": one.topic,
                    "error": one.error,
                    "dead_at": format_time(one.dead_at),
                    "waiting": one.waiting,
                }
            )
        cells = (one.projection, str(one.stream), one.topic, one.error)
        rows.add_row(*(Text(spell_out(cell)) for cell in cells), f"{one.position:,}", f"{one.waiting:,}")
    if form is Form.TABLE:
        if lifted is not None:
            out.print(f"{lifted:,} taken in again, {len(found):,} left")
        out.print(rows if found else "No dead letters.")


def _known(service: "Offerlog", name: str | None) -> None:
    names = list(dict.fromkeys(_name_of(one.name) for one in service.projections()))
    if name is not None and name not in names:
        raise usage(f"there is no projection {name!r}: {', '.join(names)}")


def _name_of(shown: str) -> str:
    """Return the name of a projection, which is shown with the number of its server if there are several."""
    return shown.partition("@")[0]


def _positions(service: "Offerlog") -> str:
    """Return the position that all projections have reached, on each server."""
    reached: dict[str, int] = {}
    for one in service.projections():
        server = one.name.partition("@")[2]
        reached[server] = min(one.position, reached.get(server, one.position))
    return ", ".join(f"{position:,}" for position in reached.values())


def _rebuild(service: "Offerlog", name: str | None, *, swap: bool, accept_difference: bool) -> None:
    """Rebuild with a progress bar on a terminal."""
    with event_bar(name or "all projections") as on_progress:
        service.rebuild(name, on_progress=on_progress, accept_difference=accept_difference, swap=swap)
