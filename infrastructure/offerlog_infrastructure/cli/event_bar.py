"""The progress of work on many events or visitors: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.cli.output import console

LINE_SECONDS: Final = 10.0
"""Seconds between two lines where there is no terminal; work that takes less is silent."""


@contextmanager
def event_bar(title: str, unit: str = "events") -> Iterator[Callable[[RebuildProgress], None]]:
    """Show a bar on a terminal, from the first call on; elsewhere a line on standard error every ten seconds.

    Args:
        title: Stands before the bar until a stage is known.
        unit: The things that are counted.

    Yields:
        Function that takes in the progress.
    """
    if not sys.stderr.isatty():
        yield _print_lines(unit)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} " + f"{unit}/s"),
        TimeRemainingColumn(),
        console=console(stderr=True),
    )
    task = bar.add_task(title, total=None, rate=0.0)
    began, first, last, stage = 0.0, 0, -1, title

    def on_progress(step: RebuildProgress) -> None:
        nonlocal began, first, last, stage
        if last < 0:
            bar.start()
        if last < 0 or step.events < last:  # the first stage, or one that counts anew
            began, first = time.monotonic(), step.events
        last = step.events
        rate = (step.events - first) / max(time.monotonic() - began, 0.1)
        bar.update(task, description=step.stage, total=step.total, completed=step.events, rate=rate)
        if step.stage != stage or step.events == step.total:
            stage = step.stage
            bar.refresh()  # a stage that is over before the next tenth of a second is shown too

    try:
        yield on_progress
    finally:
        bar.stop()


def _print_lines(unit: str) -> Callable[[RebuildProgress], None]:
    """Return the function that prints a line now and then."""
    printed = time.monotonic()

    def on_progress(step: RebuildProgress) -> None:
        nonlocal printed
        if time.monotonic() - printed >= LINE_SECONDS:
            printed = time.monotonic()
            typer.echo(f"offerlog: {step.stage}: {step.events:,} of {step.total:,} {unit}", err=True)

    return on_progress
