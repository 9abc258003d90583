"""Loading all slices: a process a core and one more, or this one where there is little to do."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from psycopg import Connection
from psycopg.rows import DictRow

from offerlog_application.rebuilds import RebuildProgress
from offerlog_infrastructure.postgres.application import OfferlogApplication
from offerlog_infrastructure.postgres.rebuild.slices import load_slices
from offerlog_infrastructure.postgres.rebuild.workshop import Workshop
from offerlog_infrastructure.postgres.views import View

_LOOK_SECONDS: Final = 0.1
_ALONE: Final = 2
"""Fewer slices than this are loaded without processes for it."""

_WORKER: Final = "from offerlog_infrastructure.postgres.rebuild.slices import main; main()"


def load(
    application: OfferlogApplication,
    connection: Connection[DictRow],
    workshop: Workshop,
    views: Sequence[View],
    told: Callable[[RebuildProgress], None],
) -> None:
    """Load what is left; `told` hears how far it is, several times a second."""
    left = _left(connection, told)
    if left < _ALONE:
        while left:  # it may still be held by a process of an earlier rebuild, which is about to end
            load_slices(connection, views)
            if left := _left(connection, told):
                time.sleep(_LOOK_SECONDS)
        return
    # One more than there are cores: each waits for the server a third of its time.
    with _workers(application, workshop, views, min(left, (os.cpu_count() or 1) + 1)) as workers:
        while left:
            time.sleep(_LOOK_SECONDS)
            ended = [worker for worker in workers if worker.poll() is not None]
            left = _left(connection, told)
            if left and len(ended) == len(workers):
                said = " ".join((workers[0].stderr.read() if workers[0].stderr else "").split()[-40:])
                raise RuntimeError(f"the processes of the rebuild ended before the last slice: {said}")


def _left(connection: Connection[DictRow], told: Callable[[RebuildProgress], None]) -> int:
    """How many slices are still to be loaded."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE NOT done) AS left, sum(events)::bigint AS events,"
        " (SELECT goal FROM plan) AS goal FROM slices"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    told(RebuildProgress("loading", row["events"] or 0, row["goal"]))
    return int(row["left"])


@contextlib.contextmanager
def _workers(
    application: OfferlogApplication, workshop: Workshop, views: Sequence[View], count: int
) -> Iterator[list[subprocess.Popen[str]]]:
    workers: list[subprocess.Popen[str]] = []
    task = "\t".join([application.dsn, workshop.live, *(view.name for view in views)])
    try:
        for _ in range(count):
            worker = subprocess.Popen(  # noqa: S603 - our own code, in another process
                [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            workers.append(worker)
            assert worker.stdin is not None  # noqa: S101 - asked for above
            worker.stdin.write(task + "\n")
            worker.stdin.flush()
        yield workers
    finally:
        for worker in workers:
            if worker.stdin is not None:
                worker.stdin.close()  # which ends it, if it has not ended
            worker.wait()
            if worker.stderr is not None:
                worker.stderr.close()
