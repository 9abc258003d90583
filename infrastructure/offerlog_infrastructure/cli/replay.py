"""The command replay: all projections computed from the log by other processes, and compared."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm, folder_name
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage

if TYPE_CHECKING:
    from offerlog_infrastructure.replaying.on_dask import ComparedProjection, ComparedReplay


class Engine(StrEnum):
    """The system that runs a replay."""

    DASK = "dask"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog replay --on dask --folder /mnt/shared/replay"
    )(replay)


@spread_groups
def replay(
    *,
    on: Annotated[Engine, typer.Option("--on", help="The system that runs it.")],
    folder: Annotated[
        Path,
        typer.Option(
            "--folder",
            parser=folder_name,
            metavar="DIR",
            help="Holds the slices and the manifest; all workers see it under the same path.",
        ),
    ],
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A scheduler, such as tcp://10.0.0.5:8786. [dim]Default: the cores of this machine[/]",
            show_default=False,
        ),
    ] = None,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Compute all projections from the log on many cores or machines, and compare.

    The log is written into DIR slice by slice, and each slice is replayed by
    itself. Services are not disturbed. What was interrupted goes on where it
    was when the same command runs again; what is complete gives its result
    again. Needs the extra archive. Exit code 3 if the live projections
    differ from what the log gives, or a file has changed.
    """
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.replaying.errors import SchedulerAddressError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.replaying.on_dask import replay_on_dask  # noqa: PLC0415 - see above

    del on  # there is one
    with (
        store.open(Access.MAINTAIN) as service,
        event_bar("replaying the log", "slices") as on_progress,
    ):
        service.catch_up()  # an upgrade may have emptied a projection, which is folded anew
        assert service.slices is not None  # noqa: S101 - no command opens a log in memory
        try:
            done = replay_on_dask(service.slices, folder, scheduler, on_progress)
        except SchedulerAddressError as error:
            raise usage(f"--scheduler: {error}") from None
    if form is Form.JSON:
        print_json(_describe(done))
    else:
        out = console()
        rows = table(out, ["projection", "equal", "position", "events", "digest"], numbers=3)
        for one in done.projections:
            figures = [f"{one.position:,}", f"{one.replayed.events:,}", str(one.replayed.digest)]
            rows.add_row(one.name, "NO" if one.differences else "yes", *figures)
        out.print(rows)
        reached = ", ".join(f"{count:,} {state}" for state, count in sorted(done.total.counts.items()))
        out.print(f"Replayed: {format_count(done.total.events, 'event')}: {reached or 'no actions'}.")
    for one in done.projections:
        for part in one.differences:
            typer.echo(f"offerlog: {one.name}: {_explain(one, part)}", err=True)
    if done.total.unreadable:
        positions = ", ".join(f"{position:,}" for position in done.total.unreadable)
        typer.echo(f"offerlog: events cannot be read, at the positions {positions}", err=True)
    if not done.is_equal:
        raise typer.Exit(ExitCode.FOUND_WRONG)


def _explain(one: "ComparedProjection", part: str) -> str:
    if part == "events":
        applied = format_count(one.live.events, "event")
        return f"it has applied {applied}, and the log holds {one.replayed.events:,}, or others"
    live, replayed = one.live.tables[part], one.replayed.tables.get(part)
    total = 0 if replayed is None else replayed.total
    return f"the table {part} does not hold what the log gives ({live.total:,}, {total:,} by the log)"


def _describe(done: "ComparedReplay") -> dict[str, Any]:
    return {
        "equal": done.is_equal,
        "events": done.total.events,
        "counts": dict(sorted(done.total.counts.items())),
        "unreadable": list(done.total.unreadable),
        "projections": [
            {
                "projection": one.name,
                "position": one.position,
                "events": one.replayed.events,
                "digest": str(one.replayed.digest),
                "live_events": one.live.events,
                "live_digest": str(one.live.digest),
                "differences": one.differences,
                "tables": {
                    name: {"total": found.total, "digest": str(found.digest)}
                    for name, found in sorted(one.replayed.tables.items())
                },
            }
            for one in done.projections
        ],
    }
