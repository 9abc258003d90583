"""The steps of a rebuild: load the streams in slices, catch up with the live log, compare, swap.

Meanwhile readers and the projector use the live tables. At the end the projector waits while old and new
tables are compared at one position. Then the new tables replace the old ones.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from psycopg import Connection
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.ports.rebuilds import RebuildProgress, RebuildRunningError
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_pages import find_last
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from offerlog_infrastructure.postgres.projections.rebuild.loading import load_all_slices
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.rebuild.swap import catch_up, compare_and_swap
from offerlog_infrastructure.postgres.projections.tables import Projection, create_merge_tables

_LOCK_NUMBER: Final = 100
"""The second key of the advisory lock that keeps rebuilds apart."""


def rebuild(
    application: OfferlogApplication,
    projections: Sequence[Projection],
    *,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    accept_difference: bool = False,
    swap: bool = True,
) -> None:
    """Build projections anew and swap them in; resumes an interrupted rebuild.

    Args:
        application: The log.
        projections: The projections; each event is read once for all of them.
        on_progress: Called with the progress, several times a second.
        accept_difference: True to swap although old and new tables differ.
        swap: False to compare only.

    Raises:
        RebuildRunningError: Another rebuild is at work.
        ProjectionsDifferError: Old and new tables differ at the same position.
        NotProjectedError: The live projection does not move.
        TablesInUseError: Another session keeps the live tables locked.
        RebuildWorkersError: The processes that load ended before the last slice.
        SchemaNotMadeError: The database's user may not make the staging schema.
    """
    staging = StagingSchema(application.log.datastore.schema)
    with application.connect() as connection, hold_rebuild_lock(connection):
        goal = staging.goal(connection, projections)
        if goal is None:
            goal = select_last_event(connection, application.archived_files, application.log.safe_position())
            staging.open(connection, projections, goal)
        staging.enter(connection)
        load_all_slices(application, connection, staging, projections, on_progress)
        on_progress(RebuildProgress("indexing", goal, goal))
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            with _finished_tables(application, staging, projections):
                create_merge_tables(connection)
                on_progress(RebuildProgress("catching up", goal, goal))
                catch_up(application, cursor, projections)
            on_progress(RebuildProgress("proving", goal, goal))
            compare_and_swap(application, cursor, staging, projections, accept=accept_difference, swap=swap)


@contextlib.contextmanager
def hold_rebuild_lock(connection: Connection[DictRow], number: int = _LOCK_NUMBER) -> Iterator[None]:
    """Hold the lock of rebuilds; released explicitly, as the server notices a closed connection later.

    Raises:
        RebuildRunningError: Another process holds it.
    """
    lock = (LOCK_SPACE, number)
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s) AS mine", lock).fetchone()
    if row is None or not row["mine"]:
        raise RebuildRunningError
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", lock)


def select_last_event(connection: Connection[DictRow], files: ArchivedFiles, until: int) -> int:
    """Return the position of the last event of a log up to a position, 0 without one.

    No projection stops at an empty position.

    Args:
        connection: Reads the table.
        files: Read the archive.
        until: The position; that of another log gives a foreign event.
    """
    begin = begin_of_shard(until)
    row = connection.execute(
        "SELECT coalesce(max(notification_id), 0) AS last FROM offerlog_events"
        " WHERE notification_id > %s AND notification_id <= %s",
        (begin, until),
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    archived = find_last(connection, files, until)
    found = [int(row["last"]), 0 if archived is None else archived[0]]
    return max((one for one in found if one > begin), default=0)


@contextlib.contextmanager
def _finished_tables(
    application: OfferlogApplication, staging: StagingSchema, projections: Sequence[Projection]
) -> Iterator[None]:
    """Finish the new tables, and keep the server's vacuum off the live ones inside the block.

    A vacuum takes a second per table to give way. Without this, the swap and all readers would wait for it.
    """
    with application.connect() as guard, guard.transaction(), guard.cursor() as cursor:
        staging.enter(guard)
        with ThreadPoolExecutor(len(projections) + 1) as pool:
            # The server does the work: it uses one core for each projection.
            work = [
                pool.submit(finish_projection, application, staging, projection) for projection in projections
            ]
            work.append(pool.submit(staging.keep_vacuum_off, cursor, projections))
            for done in work:
                done.result()
            # Vacuum last: while an earlier transaction is open, no page counts as visible to all. It takes as
            # long as the tables are large, and ends: nobody else knows them, so it waits for no lock.
            with announced("the rebuilt tables to be vacuumed"):
                for vacuumed in [
                    pool.submit(vacuum_projection, application, staging, projection)
                    for projection in projections
                ]:
                    vacuumed.result()
        yield


def vacuum_projection(
    application: OfferlogApplication, staging: StagingSchema, projection: Projection
) -> None:
    """Vacuum the new tables of a projection, on a connection of its own."""
    with application.connect() as connection:
        staging.vacuum(connection, projection)


def finish_projection(
    application: OfferlogApplication, staging: StagingSchema, projection: Projection
) -> None:
    """Add up the rows that the slices have loaded and make the indexes; only the first call does so."""
    with application.connect() as connection, announced(f"the indexes of the rebuilt {projection.name}"):
        staging.enter(connection)
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute("SELECT loaded FROM steps WHERE view = %s FOR UPDATE", (projection.name,))
            if cursor.fetchone() == (False,):
                if projection.finish:
                    cursor.execute(projection.finish)
                staging.index(cursor, projection)
                cursor.execute("UPDATE steps SET loaded = true WHERE view = %s", (projection.name,))
