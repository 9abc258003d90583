"""The way of a rebuild: load in slices, catch up with the live log, prove, switch.

Readers and the projector go on with the live tables all the while. At the end the projector waits, for as
long as it takes to compare old and new at one position; then the new tables take the place of the old.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.rebuilds import NotProjected, ProjectionsDiffer, RebuildProgress, RebuildRunning
from offerlog_infrastructure.postgres.application import OfferlogApplication
from offerlog_infrastructure.postgres.feeding import feed
from offerlog_infrastructure.postgres.pages import READ_PAGE, read_page
from offerlog_infrastructure.postgres.projector import LOCK_SPACE, PAGE
from offerlog_infrastructure.postgres.rebuild.slices import load_slices
from offerlog_infrastructure.postgres.rebuild.workshop import Workshop
from offerlog_infrastructure.postgres.views import View, prepare

_LOCK_NUMBER: Final = 100
"""The second key of the advisory lock that keeps rebuilds apart."""

_LOOK_SECONDS: Final = 0.1
_SWITCHES_TRIED: Final = 20
_LOCKS_TRIED: Final = 20
_STALLED_SECONDS: Final = 60.0
_HANGS_SECONDS: Final = 10
_ALONE: Final = 2
"""Fewer slices than this are loaded without processes for it."""

_WORKER: Final = "from offerlog_infrastructure.postgres.rebuild.slices import main; main()"


def rebuild(
    application: OfferlogApplication,
    views: Sequence[View],
    *,
    told: Callable[[RebuildProgress], None] = lambda _: None,
    accept_difference: bool = False,
    switch: bool = True,
) -> None:
    """Build views anew and put them in the place of the live ones; an interrupted one is gone on with.

    Args:
        application: The log.
        views: Which; each event is read once for all of them.
        told: Is told how far it is, several times a second.
        accept_difference: Whether to switch although old and new differ.
        switch: False to compare only.

    Raises:
        RebuildRunning: Another one is at work.
        ProjectionsDiffer: Old and new differ at the same position.
        NotProjected: The live projection does not move.
        SchemaNotMade: The database's user may not make the schema that it takes.
    """
    workshop = Workshop(application.log.datastore.schema)
    with application.connect() as connection, _alone(connection):
        goal = workshop.goal(connection, views)
        if goal is None:
            goal = _last_event(connection, application.log.safe_position())
            workshop.open(connection, views, goal)
        workshop.enter(connection)
        _load(application, connection, workshop, views, told)
        told(RebuildProgress("indexing", goal, goal))
        with ThreadPoolExecutor(len(views)) as pool:  # the server does the work, each on a core of its own
            for done in [pool.submit(_finish, application, workshop, view) for view in views]:
                done.result()
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            prepare(connection)
            told(RebuildProgress("catching up", goal, goal))
            _catch_up(application, cursor, views)
            told(RebuildProgress("proving", goal, goal))
            _prove_and_switch(application, cursor, workshop, views, accept=accept_difference, switch=switch)


@contextlib.contextmanager
def _alone(connection: Connection[DictRow]) -> Iterator[None]:
    """Keep other rebuilds away; given back at once, as the server notices the end of a connection later."""
    lock = (LOCK_SPACE, _LOCK_NUMBER)
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s) AS mine", lock).fetchone()
    if row is None or not row["mine"]:
        raise RebuildRunning
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", lock)


def _last_event(connection: Connection[DictRow], safe: int) -> int:
    """The last event up to there: what was drawn behind it and given up moves no live projection."""
    row = connection.execute(
        "SELECT coalesce(max(notification_id), 0) AS last FROM offerlog_events WHERE notification_id <= %s",
        (safe,),
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return int(row["last"])


def _load(
    application: OfferlogApplication,
    connection: Connection[DictRow],
    workshop: Workshop,
    views: Sequence[View],
    told: Callable[[RebuildProgress], None],
) -> None:
    left = _left(connection, told)
    if left < _ALONE:
        while left:  # it may still be held by a process of an earlier rebuild, which is about to end
            load_slices(connection, views)
            if left := _left(connection, told):
                time.sleep(_LOOK_SECONDS)
        return
    with _workers(application, workshop, views, min(left, os.cpu_count() or 1)) as workers:
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


def _finish(application: OfferlogApplication, workshop: Workshop, view: View) -> None:
    """Sum up what the slices have loaded, and index it; once."""
    with application.connect() as connection:
        workshop.enter(connection)
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute("SELECT loaded FROM steps WHERE view = %s FOR UPDATE", (view.name,))
            if cursor.fetchone() == (True,):
                return
            if view.finish:
                cursor.execute(view.finish)
            workshop.index(cursor, view)
            cursor.execute("UPDATE steps SET loaded = true WHERE view = %s", (view.name,))


def _catch_up(application: OfferlogApplication, cursor: Cursor[Any], views: Sequence[View]) -> None:
    """Take in what the live views have taken in since; waits for those that are not as far as we are."""
    for view in views:
        stood, since = -1, time.monotonic()
        while True:
            ours, live = _positions(cursor, view)
            if live < ours:
                if live > stood:
                    stood, since = live, time.monotonic()
                elif time.monotonic() - since > _STALLED_SECONDS:
                    raise NotProjected(view.name, live)
                time.sleep(_LOOK_SECONDS)
            elif not _take_in(application, cursor, view, ours, live):
                break


def _positions(cursor: Cursor[Any], view: View) -> tuple[int, int]:
    row = cursor.execute(
        "SELECT s.position, t.notification_id FROM steps s JOIN offerlog_tracking t"
        " ON t.application_name = s.view WHERE s.view = %s",
        (view.name,),
    ).fetchone()
    assert row is not None  # noqa: S101 - the workshop was opened for it
    return row[0], row[1]


def _take_in(application: OfferlogApplication, cursor: Cursor[Any], view: View, ours: int, live: int) -> bool:
    """One page from our position up to the live one; False where there is none."""
    if ours == live:
        return False
    with cursor.connection.transaction():
        rows = cursor.execute(READ_PAGE, (ours, live, PAGE), prepare=True).fetchall()
        last = rows[-1][0] if rows else live
        feed(cursor, view.name, view.apply, read_page(cursor, application.facts, rows))
        cursor.execute("UPDATE steps SET position = %s WHERE view = %s", (last, view.name))
    return True


def _lock_out_readers(cursor: Cursor[Any], workshop: Workshop, views: Sequence[View]) -> None:
    """Get the live tables alone. Readers queue behind who waits for that, so it waits for moments only.

    Raises:
        QueryCanceled: Somebody goes on reading them, a backup for instance.
    """
    for attempt in range(1, _LOCKS_TRIED + 1):
        try:
            with cursor.connection.transaction():
                cursor.execute("SET LOCAL statement_timeout = '100ms'")
                workshop.lock_out_readers(cursor, views)
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        except psycopg.errors.QueryCanceled:
            if attempt == _LOCKS_TRIED:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _prove_and_switch(
    application: OfferlogApplication,
    cursor: Cursor[Any],
    workshop: Workshop,
    views: Sequence[View],
    *,
    accept: bool,
    switch: bool,
) -> None:
    for attempt in range(1, _SWITCHES_TRIED + 1):
        try:
            with cursor.connection.transaction():
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                # All projectors wait for this transaction: one that hangs is ended by the server.
                hangs = f"SET LOCAL idle_in_transaction_session_timeout = '{_HANGS_SECONDS}s'"
                cursor.execute(hangs.encode())
                cursor.execute(
                    "SELECT FROM offerlog_tracking WHERE application_name = ANY(%s)"
                    " ORDER BY application_name FOR UPDATE",
                    ([view.name for view in views],),
                )
                workshop.keep_vacuum_off(cursor, views)
                _catch_up(application, cursor, views)
                found = [one for view in views for one in workshop.differences(cursor, view)]
                if found and not accept:
                    raise ProjectionsDiffer(found)
                if switch:
                    _lock_out_readers(cursor, workshop, views)
                    for view in views:
                        workshop.move_in(cursor, view)
                workshop.close(cursor)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            if attempt == _SWITCHES_TRIED:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return
