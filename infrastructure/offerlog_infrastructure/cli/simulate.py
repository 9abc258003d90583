"""The command simulate: invented traffic for trials."""

import sys
from datetime import date
from typing import Annotated, Final

import typer

from offerlog_domain.lifecycle import MediaType
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.output import usage

_MAX_VISITORS: Final = 10_000_000
"""They take about ten minutes."""

_MAX_MAPS: Final = 10_000
_MAX_DAYS: Final = 36_600
"""A hundred years. Days and maps are made before the first line, which takes at most a second."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog simulate --visitors 1000 --action-maps 5 --days 7"
        " --start 2026-11-16 --seed 1 | offerlog record -",
    )(simulate)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise usage(f"{text!r} is not a date: give one such as 2026-11-16") from None


def simulate(
    visitors: Annotated[int, typer.Option(min=0, max=_MAX_VISITORS, help="Number of visitors in all.")],
    action_maps: Annotated[int, typer.Option(min=1, max=_MAX_MAPS, help="Number of action maps.")],
    days: Annotated[int, typer.Option(min=1, max=_MAX_DAYS, help="Number of days.")],
    start: Annotated[
        date, typer.Option(parser=_day, metavar="DATE", help="The first day, in UTC: 2026-11-16.")
    ],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")],
    disorder: Annotated[bool, typer.Option("--disorder", help="Some signals arrive late.")] = False,
    repeats: Annotated[bool, typer.Option("--repeats", help="Some signals arrive again.")] = False,
    media_types: Annotated[
        list[MediaType] | None,
        typer.Option(
            "--media-type",
            help="Media type of the maps; given again, they have them in turn. [dim]Default: webchat[/]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write realistic traffic as NDJSON in the vendor's browser form, in order of arrival.

    It has busy and quiet hours, every path of the lifecycle, and the wrong
    reports of real widgets.
    """
    from offerlog_infrastructure.simulation import Traffic  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.simulation import simulate as lines  # noqa: PLC0415 - as above

    try:
        traffic = Traffic(
            visitors,
            action_maps,
            days,
            start,
            seed,
            disorder=disorder,
            repeats=repeats,
            media_types=tuple(media_types or [MediaType.WEBCHAT]),
        )
    except ValueError as error:
        raise usage(str(error)) from None
    for line in lines(traffic):
        sys.stdout.write(line + "\n")
