"""offerlog expire, projections: what operators run."""

import sys
import time
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_infrastructure.cli.everywhere import Command
from offerlog_infrastructure.cli.options import Data, Organization, open_service
from offerlog_infrastructure.cli.output import console, print_json, table, usage

_STALLED_SECONDS: Final = 60.0
"""How long a rebuild may show no progress before it is given up."""


class Format(StrEnum):
    """How the status is printed."""

    TABLE = "table"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=Command, epilog="[dim]Example:[/] offerlog expire")(expire)
    projections = typer.Typer(
        help="See how far the projections are, or build them anew from the log.", no_args_is_help=True
    )
    projections.command(cls=Command, epilog="[dim]Example:[/] offerlog projections status")(status)
    projections.command(cls=Command, epilog="[dim]Example:[/] offerlog projections rebuild performance")(
        rebuild
    )
    app.add_typer(projections, name="projections")


def expire(data: Data = None, organization: Organization = None) -> None:
    """Record the time-outs that are due, and end the parking that is over, in all organizations.

    A running service does this by itself.
    """
    with open_service(data, organization) as service:
        ended = service.expire()
    print_json({"timedout": ended.timedout, "never_reachable": ended.never_reachable})


def status(
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
    data: Data = None,
    organization: Organization = None,
) -> None:
    """Show each projection's position in the log, and its lag in events and seconds."""
    with open_service(data, organization, project=False) as service:
        found = service.projections()
    out = console()
    rows = table(out, ["projection", "position", "lag (events)", "lag (seconds)"], numbers=3)
    for one in found:
        if form is Format.JSON:
            print_json(
                {
                    "projection": one.name,
                    "position": one.position,
                    "lag_events": one.lag_events,
                    "lag_seconds": None if one.lag_seconds is None else round(one.lag_seconds, 3),
                }
            )
        age = "unreadable" if one.lag_seconds is None else f"{one.lag_seconds:.1f}"
        rows.add_row(one.name, f"{one.position:,}", f"{one.lag_events:,}", age)
    if form is Format.TABLE:
        out.print(rows)


def rebuild(
    name: Annotated[str | None, typer.Argument(help="Which projection; all of them unless given.")] = None,
    data: Data = None,
    organization: Organization = None,
) -> None:
    """Build a projection anew from the log; readers see it fill again."""
    with open_service(data, organization) as service:
        names = [one.name for one in service.projections()]
        if name is not None and name not in names:
            raise usage(f"there is no projection {name!r}: {', '.join(names)}")
        goal = service.rebuild(name)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.0f} events/s"),
            TimeRemainingColumn(),
            console=console(stderr=True),
            disable=not sys.stderr.isatty(),
        ) as progress:
            task = progress.add_task(name or "all projections", total=goal, rate=0.0)
            began = moved = time.monotonic()
            before = -1
            while (reached := service.position()) < goal:
                now = time.monotonic()
                if reached > before:
                    before, moved = reached, now
                elif now - moved > _STALLED_SECONDS:
                    service.wait(goal, timeout=0)  # says what stops it
                progress.update(task, completed=reached, rate=reached / max(now - began, 0.1))
                time.sleep(0.1)
            progress.update(task, completed=goal, rate=goal / (time.monotonic() - began))
    console().print(f"{name or 'all projections'} rebuilt up to position {goal:,}")
