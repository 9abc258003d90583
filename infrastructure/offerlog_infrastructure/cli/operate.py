"""The commands expire and events, for operators of the log."""

import typer
from rich.text import Text

from offerlog_infrastructure.cli import feed
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm
from offerlog_infrastructure.cli.output import Form, console, print_json, table
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.escaping import spell_out


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog expire")(expire)
    events = typer.Typer(
        cls=OfferlogGroup,
        help="Follow the events of the log, and inspect how they are stored.",
        no_args_is_help=True,
        callback=between,
    )
    events.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog events check")(check)
    feed.add_to(events)
    app.add_typer(events, name="events")


@spread_groups
def expire(store: StoreOptions) -> None:
    """Record the time-outs that are due, and end the parking that is over, in all organizations.

    A running service does this by itself.
    """
    with store.open(Access.MAINTAIN) as service:
        ended = service.expire()
    with telling("what was due is recorded"):
        print_json({"timedout": ended.timedout, "never_reachable": ended.never_reachable})


@spread_groups
def check(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the kinds of events in the log, and whether this build can read them.

    Run it with a new build before that build goes into service. It reads a
    sample of each kind. Exit code 3 if an event cannot be read.
    """
    with store.open(Access.MAINTAIN, project=False) as service:
        kinds = service.stored_kinds()
    out = console()
    rows = table(
        out, ["stored as", "readable", "events", "first position", "last position", "sampled"], numbers=4
    )
    for kind in kinds:
        if form is Form.JSON:
            print_json(
                {
                    "stored_as": kind.topic,
                    "readable": kind.error is None,
                    "events": kind.events,
                    "first_position": kind.first,
                    "last_position": kind.last,
                    "read": kind.sampled,
                    "error": kind.error,
                }
            )
        figures = [f"{figure:,}" for figure in (kind.events, kind.first, kind.last, kind.sampled)]
        rows.add_row(Text(spell_out(kind.topic)), "no" if kind.error else "yes", *figures)
    if form is Form.TABLE:
        out.print(rows if kinds else "The log is empty.")
    unreadable = [kind for kind in kinds if kind.error is not None]
    for kind in unreadable:
        typer.echo(f"offerlog: this build cannot read {spell_out(kind.error or '')}", err=True)
    if unreadable:
        raise typer.Exit(ExitCode.FOUND_WRONG)
