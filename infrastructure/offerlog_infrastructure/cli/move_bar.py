"""The progress bar of a slice that moves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.shards import MoveProgress
from offerlog_infrastructure.cli.event_bar import event_bar

_SHOWN: Final = {
    "copying": "copying",
    "comparing": "comparing both servers",
    "fenced": "signals of the slice wait",
    "leaving": "deleting the former copy",
}


@contextmanager
def move_bar() -> Iterator[Callable[[MoveProgress], None]]:
    """Show a bar on standard error while a slice moves, if that is a terminal.

    Yields:
        Function that takes in the progress.
    """
    with event_bar("moving the slice") as on_progress:
        yield lambda one: on_progress(RebuildProgress(_SHOWN[one.step], one.copied, one.events))
