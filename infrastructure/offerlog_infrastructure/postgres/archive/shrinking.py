"""The room that moved events leave in the table: given back slice by slice."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.archive import ArchiveFigures
from offerlog_application.ports.rebuilds import RebuildProgress

_TRIES: Final = 50
_PAUSE_SECONDS: Final = 0.1
"""Number of tries to lock a slice, and the rest after each: others queue behind a lock that is waited for."""

_TRIES_WITH_VACUUM: Final = 12
"""Before one of so many tries, the server's own vacuum is asked to give way."""

_SET_LOCK_TIMEOUT: LiteralString = "SET lock_timeout = '200ms'"
_SET_VACUUM_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '3s'"
_RESET_LOCK_TIMEOUT: LiteralString = "RESET lock_timeout"
_SELECT_SLICES: LiteralString = "SELECT slice FROM slices_to_shrink ORDER BY slice"
_DELETE_SLICE: LiteralString = "DELETE FROM slices_to_shrink WHERE slice = %s"
_SELECT_FIGURES: LiteralString = """
    SELECT (SELECT place FROM archive_place), count(*), coalesce(sum(events), 0)::bigint,
        coalesce(sum(bytes), 0)::bigint,
        (
            SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
            WHERE inhparent = 'offerlog_events'::regclass
        )
    FROM archived_files
"""


def select_figures(connection: Connection[Any]) -> ArchiveFigures:
    """Select the figures of the archive."""
    row = connection.cursor(row_factory=tuple_row).execute(_SELECT_FIGURES).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return ArchiveFigures(*row)


def select_archive(connection: Connection[Any]) -> ArchiveFigures | None:
    """Select the figures of the archive; None without one."""
    figures = select_figures(connection)
    return None if figures.place is None else figures


def shrink_slices(
    connection: Connection[Any], on_progress: Callable[[RebuildProgress], None]
) -> Sequence[int]:
    """Rewrite the partitions that events were moved from; returns the slices whose lock was not to be had.

    Old snapshots still see the rows that they saw before (docs/decisions/0066).

    Args:
        connection: In auto-commit mode, without a limit on answers.
        on_progress: Called with the number of slices.
    """
    slices = [number for (number,) in connection.cursor(row_factory=tuple_row).execute(_SELECT_SLICES)]
    left: list[int] = []
    connection.execute(_SET_LOCK_TIMEOUT)
    for done, number in enumerate(slices):
        on_progress(RebuildProgress("shrinking", done, len(slices)))
        if _shrink(connection, number):
            connection.execute(_DELETE_SLICE, (number,))
        else:
            left.append(number)
    connection.execute(_RESET_LOCK_TIMEOUT)
    on_progress(RebuildProgress("shrinking", len(slices), max(len(slices), 1)))
    return left


def _shrink(connection: Connection[Any], number: int) -> bool:
    table = f"offerlog_events_{number:x}"
    for done in range(_TRIES):
        try:
            if done % _TRIES_WITH_VACUUM == 1:
                _end_vacuum(connection, table)
            connection.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())
        except psycopg.errors.LockNotAvailable:
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
    return False


def _end_vacuum(connection: Connection[Any], table: str) -> None:
    """Let the server's own vacuum give way, which looks at the table because rows were deleted.

    It does so for a session that waits for a second. The lock lets everybody else read and write.

    Raises:
        LockNotAvailable: Another session holds the table, which does not give way.
    """
    with connection.transaction():
        connection.execute(_SET_VACUUM_TIMEOUT)
        connection.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
