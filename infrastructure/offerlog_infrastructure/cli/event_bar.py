"""The progress bar of work on many events: rebuilds, and the upgrade of an older store."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.cli.output import console


@contextmanager
def event_bar(title: str, unit: str = "events") -> Iterator[Callable[[RebuildProgress], None]]:
    """Show a bar on a terminal, from the first call on; show nothing elsewhere.

    Args:
        title: Stands before the bar until a stage is known.
        unit: The things that are counted.

    Yields:
        Function that takes in the progress.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} " + f"{unit}/s"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
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
