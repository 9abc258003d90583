"""The load of all slices: by one process per core and one more, or by this process if there is little."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from psycopg import Connection
from psycopg.rows import DictRow

from offerlog_application.ports.rebuilds import EndedWorker, RebuildProgress, RebuildWorkersError
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import count_positions
from offerlog_infrastructure.postgres.projections.rebuild.slices import load_slices
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.tables import Projection

_LOOK_SECONDS: Final = 0.1
_STDERR_CHARACTERS: Final = 400
"""Number of characters of a worker's last output that are shown."""

_END_SECONDS: Final = 60.0
"""Seconds for the end of a worker that is told to end; it may wait for an answer of the server."""

_FEWEST_FOR_WORKERS: Final = 2
"""Fewer slices than this are loaded by this process."""

_WORKER: Final = (
    sys.executable,
    "-c",
    "from offerlog_infrastructure.postgres.projections.rebuild.slices import main; main()",
)
"""The command line of a worker."""


def load_all_slices(
    application: OfferlogApplication,
    connection: Connection[DictRow],
    staging: StagingSchema,
    projections: Sequence[Projection],
    on_progress: Callable[[RebuildProgress], None],
) -> None:
    """Load the remaining slices; `on_progress` is called several times a second.

    Raises:
        RebuildWorkersError: All worker processes have failed or were killed.
    """
    while (left := _select_remaining(connection, on_progress).slices) >= _FEWEST_FOR_WORKERS:
        # One more than cores: each worker waits for the server a third of its time.
        with _running_workers(
            application, staging, projections, min(left, (os.cpu_count() or 1) + 1)
        ) as workers:
            while left:
                left = _await_slice(connection, workers, left, on_progress)
                if all(worker.returncode == 0 for worker in workers):
                    break  # another process held the remaining slices and has released them
    with announced("a process of an earlier rebuild to let go of the last slice"):
        while left:
            load_slices(connection, projections)
            if left := _select_remaining(connection, on_progress).slices:
                time.sleep(_LOOK_SECONDS)


def _await_slice(
    connection: Connection[DictRow],
    workers: Sequence["subprocess.Popen[str]"],
    before: int,
    on_progress: Callable[[RebuildProgress], None],
) -> int:
    """Wait until one more slice is loaded; returns how many are left.

    Raises:
        RebuildWorkersError: All workers have ended, and slices are left.
    """
    numbers = ", ".join(str(worker.pid) for worker in workers)
    with announced(f"the processes of the rebuild ({numbers}) to load the next part of the log"):
        while True:
            time.sleep(_LOOK_SECONDS)
            ended = [worker for worker in workers if worker.poll() is not None]
            left = _select_remaining(connection, on_progress)
            failed = [worker for worker in ended if worker.returncode]
            if left.slices and len(ended) == len(workers) and failed:
                raise RebuildWorkersError(
                    [_describe_end(worker) for worker in failed], left.events, left.goal
                )
            if left.slices < before or len(ended) == len(workers):
                return left.slices


def _describe_end(worker: "subprocess.Popen[str]") -> EndedWorker:
    """Describe how a worker ended."""
    words = " ".join((worker.stderr.read() if worker.stderr else "").split())[-_STDERR_CHARACTERS:]
    if worker.returncode >= 0:
        return EndedWorker(worker.pid, f"ended with exit code {worker.returncode}", words)
    try:
        name = signal.Signals(-worker.returncode).name
    except ValueError:
        name = f"signal {-worker.returncode}"
    memory = (
        ", perhaps for want of memory (see the system's log)" if -worker.returncode == signal.SIGKILL else ""
    )
    return EndedWorker(worker.pid, f"was ended by {name}{memory}", words)


class _Remaining(NamedTuple):
    """The part of the log that is still to be loaded.

    Attributes:
        slices: How many slices.
        events: How many events have been loaded.
        goal: The position up to which events are loaded.
    """

    slices: int
    events: int
    goal: int


def _select_remaining(
    connection: Connection[DictRow], on_progress: Callable[[RebuildProgress], None]
) -> _Remaining:
    """Select what is still to be loaded, and report the progress."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE NOT done) AS left, sum(events)::bigint AS events,"
        " (SELECT goal FROM plan) AS goal FROM slices"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    events = int(row["events"] or 0)
    # Foreign events have no place among the positions of this log.
    on_progress(RebuildProgress("loading", events, max(events, count_positions(0, row["goal"]))))
    return _Remaining(int(row["left"]), events, int(row["goal"]))


@contextlib.contextmanager
def _running_workers(
    application: OfferlogApplication, staging: StagingSchema, projections: Sequence[Projection], count: int
) -> Iterator[list[subprocess.Popen[str]]]:
    workers: list[subprocess.Popen[str]] = []
    task = "\t".join(
        [application.dsn, staging.live, staging.purpose, *(projection.name for projection in projections)]
    )
    try:
        for _ in range(count):
            worker = subprocess.Popen(  # noqa: S603 - our own code, in another process
                _WORKER, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            workers.append(worker)
            assert worker.stdin is not None  # noqa: S101 - asked for above
            worker.stdin.write(task + "\n")
            worker.stdin.flush()
        yield workers
    finally:
        for worker in workers:
            if worker.stdin is not None:
                worker.stdin.close()  # the end of its input ends a worker
            try:
                worker.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:  # it stands still
                worker.kill()
                worker.wait()  # without a limit: a killed process ends
            if worker.stderr is not None:
                worker.stderr.close()
