"""The steps of a conversion, each of which is taken up again where it was interrupted.

1. `rewriting`: streams in pages, see `rewriting`. Then all old events are compared with the new ones.
2. `projecting`: the rebuild makes all projections.
3. `comparing`: new performance counts are compared with those of before. Then the old tables go.
4. `cleaning`: PostgreSQL's statistics are rewritten. They hold samples of columns that are gone, in clear.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.conversion.comparing import check_counts, check_rewritten_events
from offerlog_infrastructure.postgres.conversion.errors import (
    ConvertedCountsDifferError,
    FirstEventsInUseError,
)
from offerlog_infrastructure.postgres.conversion.logged_progress import LoggedProgress
from offerlog_infrastructure.postgres.conversion.rewriting import Rewriter
from offerlog_infrastructure.postgres.conversion.visitors_of_streams import StreamVisitors
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.projections.rebuild import rebuild
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS

_LOCK_KEY: Final = 0x636F_6E76_6572_7431
"""The advisory lock of conversions ("convert1" in ASCII)."""

_LOOK_SECONDS: Final = 0.1
"""Seconds between two looks whether another process has ended its conversion."""

_CLEANING_SECONDS: Final = 10
"""Seconds to wait for the lock of PostgreSQL's statistics, which other sessions may use."""

_SELECT_STEP: LiteralString = "SELECT step, has_counts FROM conversion"
_MOVE_LIVE_PROJECTIONS: LiteralString = f"""
    UPDATE offerlog_tracking
    SET notification_id = coalesce(({SELECT_LAST_POSITION}), 0)
    WHERE application_name = ANY(%s)
"""
"""The rebuild compares at the position of the live projections. Here these are empty, at any position."""

_log = logging.getLogger(__name__)


def convert_first_format(
    application: OfferlogApplication, on_progress: Callable[[RebuildProgress], None] | None = None
) -> None:
    """Convert a store of the first format; do nothing for any other store.

    One process converts; others wait until it has ended, and go on from there if it was interrupted.

    Args:
        application: The log; its migrations have run.
        on_progress: Called several times a second; None to log the progress.

    Raises:
        UnreadableFirstEventError: An old event cannot be read. Nothing is dropped.
        RewrittenLogDiffersError: The rewritten events are not the old ones. Nothing is dropped.
        FirstEventsInUseError: A view depends on an old table. A later call goes on.
        ConvertedCountsDifferError: The counts differ from those of before. The store is converted all the
            same.
    """
    with application.log.datastore.get_connection() as pooled:
        if not _is_needed(pooled):
            return
    with (
        open_unlimited(application.dsn, application.log.datastore.schema) as connection,
        _hold_lock(connection),
    ):
        if not _is_needed(connection):  # another process has converted it meanwhile
            return
        differences = _Converter(application, connection, on_progress or LoggedProgress()).run()
    if differences is not None:
        raise differences


def _is_needed(connection: Connection[Any]) -> bool:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute("SELECT to_regclass('conversion') IS NOT NULL").fetchone() == (True,)


@contextmanager
def _hold_lock(connection: Connection[Any]) -> Iterator[None]:
    """Hold the lock of conversions. The wait holds no snapshot, which would be in the way of a vacuum."""
    with (
        connection.cursor(row_factory=tuple_row) as cursor,
        announced("another process that upgrades the store"),
    ):
        while cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() != (True,):
            time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_KEY,))


class _Converter:
    """One conversion, by the process that holds the lock."""

    def __init__(
        self,
        application: OfferlogApplication,
        connection: Connection[Any],
        on_progress: Callable[[RebuildProgress], None],
    ) -> None:
        self._application = application
        self._connection = connection
        self._on_progress = on_progress

    def run(self) -> ConvertedCountsDifferError | None:
        """Take the steps that are left; returns the difference between old and new counts, or None."""
        connection = self._connection
        connection.execute("SET statement_timeout = 0")
        # Pages that a crash of the server loses are rewritten again. `_compare` drops tables durably.
        connection.execute("SET synchronous_commit = off")
        began = time.monotonic()
        step, has_counts = self._select_step()
        _log.warning(
            "the store was made by an older offerlog: it is upgraded now, once; Ctrl-C interrupts it"
        )
        if step == "rewriting":
            self._rewrite()
            step = "projecting"
        if step == "projecting":
            rebuild(self._application, PROJECTIONS, on_progress=self._on_progress, accept_difference=True)
            connection.execute("UPDATE conversion SET step = 'comparing'")
            step = "comparing"
        differences = self._compare(has_counts=has_counts) if step == "comparing" else None
        self._clean()
        _log.warning("the store is upgraded, in %.0f seconds", time.monotonic() - began)
        return differences

    def _select_step(self) -> tuple[str, bool]:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(_SELECT_STEP).fetchone()
        assert row is not None  # noqa: S101 - migration 0012 has inserted it
        return row[0], row[1]

    def _rewrite(self) -> None:
        application, connection = self._application, self._connection
        visitors = StreamVisitors(application.keys, application.visitor_keys)
        Rewriter(connection, visitors).run(self._on_progress)
        with connection.cursor(row_factory=tuple_row) as cursor:
            with announced("the rewritten events to be compared with the old ones"):
                check_rewritten_events(cursor)
                cursor.execute("ANALYZE visitors, offerlog_events")
            with connection.transaction():
                cursor.execute(_MOVE_LIVE_PROJECTIONS, ([one.name for one in PROJECTIONS],))
                cursor.execute("UPDATE conversion SET step = 'projecting'")

    def _compare(self, *, has_counts: bool) -> ConvertedCountsDifferError | None:
        """Compare counts, and drop the old tables; old counts that differ stay.

        Raises:
            FirstEventsInUseError: A view depends on an old table.
        """
        connection = self._connection
        connection.execute("SET synchronous_commit = on")
        try:
            with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
                differences = check_counts(cursor) if has_counts else None
                cursor.execute("DROP TABLE first_events")
                cursor.execute("UPDATE conversion SET step = 'cleaning'")
                if differences is None:
                    cursor.execute("DROP TABLE first_counts")
        except psycopg.errors.DependentObjectsStillExist as error:
            raise FirstEventsInUseError(error.diag.message_detail or str(error)) from error
        return differences

    def _clean(self) -> None:
        """Rewrite the statistics into a new file. The server skips it for a user who may not do so."""
        connection = self._connection
        connection.execute(f"SET lock_timeout = '{_CLEANING_SECONDS}s'".encode())
        try:
            with announced("PostgreSQL's statistics to be rewritten"):
                connection.execute("VACUUM FULL pg_statistic")
        except psycopg.errors.LockNotAvailable:
            _log.warning(
                "PostgreSQL's statistics are in use, so samples of old columns stay in clear for now:"
                " run VACUUM FULL pg_statistic later"
            )
        connection.execute("SET lock_timeout = 0")
        connection.execute("DROP TABLE conversion")
