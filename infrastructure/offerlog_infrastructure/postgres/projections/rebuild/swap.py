"""The end of a rebuild: catch up with the live projections, compare both, and swap the tables."""

import time
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Cursor, sql

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import (
    NotProjectedError,
    ProjectionsDifferError,
    TablesInUseError,
)
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.pages import decode_page, select_page
from offerlog_infrastructure.postgres.projections.apply_page import apply_page
from offerlog_infrastructure.postgres.projections.projector import PAGE
from offerlog_infrastructure.postgres.projections.rebuild.comparing import find_differences
from offerlog_infrastructure.postgres.projections.rebuild.dependent_views import (
    DependentView,
    DetachedViews,
    find_views,
    lock_views,
)
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.tables import Projection

_LOOK_SECONDS: Final = 0.1
_SWAP_ATTEMPTS: Final = 20
_LOCK_ATTEMPTS: Final = 20
_STALLED_SECONDS: Final = 60.0
_HANGS_SECONDS: Final = 10

_NAMES: Final = "action_map_names"
_KEEP_NAMES: LiteralString = """
    INSERT INTO action_map_names AS n (organization, action_map_id, name, named_at, position)
    SELECT known.organization, known.action_map_id, known.name, known.named_at, known.position
    FROM {live} AS known
    WHERE EXISTS (SELECT FROM shard)
      AND NOT EXISTS (SELECT FROM offerlog_events WHERE notification_id = known.position)
    ON CONFLICT (organization, action_map_id) DO UPDATE SET
        name = excluded.name, named_at = excluded.named_at, position = excluded.position
    WHERE (n.named_at, n.name, -n.position) < (excluded.named_at, excluded.name, -excluded.position)
"""


def catch_up(
    application: OfferlogApplication, cursor: Cursor[Any], projections: Sequence[Projection]
) -> None:
    """Apply the events that the live projections have applied since; wait for live ones that are behind."""
    for projection in projections:
        while True:
            ours, live = _select_positions(cursor, projection)
            if live < ours:
                _await_live(cursor, projection)
            elif not _apply_next_page(application, cursor, projection, ours, live):
                break


def _await_live(cursor: Cursor[Any], projection: Projection) -> None:
    """Wait until the live projection is as far as the new one.

    Raises:
        NotProjectedError: It does not move.
    """
    reached, since = -1, time.monotonic()
    what = f"the live projection {projection.name} to come as far as the rebuilt one"
    with announced(what, _STALLED_SECONDS) as wait:
        while True:
            ours, live = _select_positions(cursor, projection)
            if live >= ours:
                return
            if live > reached:
                reached, since = live, time.monotonic()
            elif time.monotonic() - since > _STALLED_SECONDS:
                raise NotProjectedError(projection.name, live)
            wait.reason = f"it stands at position {live:,} of {ours:,}"
            time.sleep(_LOOK_SECONDS)


def _select_positions(cursor: Cursor[Any], projection: Projection) -> tuple[int, int]:
    row = cursor.execute(
        "SELECT s.position, t.notification_id FROM steps s JOIN offerlog_tracking t"
        " ON t.application_name = s.view WHERE s.view = %s",
        (projection.name,),
    ).fetchone()
    assert row is not None  # noqa: S101 - `StagingSchema.open` has inserted it
    return row[0], row[1]


def _apply_next_page(
    application: OfferlogApplication, cursor: Cursor[Any], projection: Projection, ours: int, live: int
) -> bool:
    """Apply one page up to the live position; returns False if there is none."""
    if ours == live:
        return False
    with cursor.connection.transaction():
        rows = select_page(cursor, ours, live, PAGE)
        files = application.archived_files
        rows = list(add_archived(cursor.connection, files, rows, ours, live, limit=PAGE))
        last = rows[-1][0] if rows else live
        page = decode_page(cursor, application.event_mapper, files, rows)
        apply_page(cursor, projection.name, projection.apply, page)
        cursor.execute("UPDATE steps SET position = %s WHERE view = %s", (last, projection.name))
    return True


def _lock_out_readers(
    cursor: Cursor[Any],
    staging: StagingSchema,
    projections: Sequence[Projection],
    dependents: Sequence[DependentView],
) -> None:
    """Lock the live tables, and the views over them, exclusively.

    New readers queue behind a waiting lock, so each try is short.

    Raises:
        QueryCanceled: Another session goes on reading them, a backup for instance.
    """
    for attempt in range(1, _LOCK_ATTEMPTS + 1):
        try:
            with cursor.connection.transaction():
                cursor.execute("SET LOCAL statement_timeout = '100ms'")
                lock_views(cursor, dependents)
                staging.lock_out_readers(cursor, projections)
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        except psycopg.errors.QueryCanceled:
            if attempt == _LOCK_ATTEMPTS:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def compare_and_swap(
    application: OfferlogApplication,
    cursor: Cursor[Any],
    staging: StagingSchema,
    projections: Sequence[Projection],
    *,
    accept: bool,
    swap: bool,
) -> None:
    """Stop the projector, compare old and new tables at one position, and swap them.

    Raises:
        ProjectionsDifferError: They differ, and `accept` is false.
        TablesInUseError: Another session held a live table during all tries.
        StoreUnavailableError: This process stood still, so the server ended its connection.
    """
    with announced("the live projections and the rebuilt ones to be compared") as wait:
        for attempt in range(1, _SWAP_ATTEMPTS + 1):
            try:
                _try_to_swap(application, cursor, staging, projections, accept=accept, swap=swap)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
                if attempt == _SWAP_ATTEMPTS:
                    raise TablesInUseError(attempt, str(error)) from error
                wait.reason = f"try {attempt} of {_SWAP_ATTEMPTS} failed ({error})"
                time.sleep(_LOOK_SECONDS)
            except psycopg.errors.IdleInTransactionSessionTimeout as error:
                raise StoreUnavailableError(
                    f"the rebuild stood still for {_HANGS_SECONDS} seconds while projections waited for it,"
                    " so the server ended it; the live ones stay in place: run the same command again",
                    StoreTrouble.RESTARTING,
                ) from error
            else:
                return


def _try_to_swap(
    application: OfferlogApplication,
    cursor: Cursor[Any],
    staging: StagingSchema,
    projections: Sequence[Projection],
    *,
    accept: bool,
    swap: bool,
) -> None:
    with cursor.connection.transaction():
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        # All projectors wait for this transaction, so the server ends it if it hangs.
        hangs = f"SET LOCAL idle_in_transaction_session_timeout = '{_HANGS_SECONDS}s'"
        cursor.execute(hangs.encode())
        cursor.execute(
            "SELECT FROM offerlog_tracking WHERE application_name = ANY(%s)"
            " ORDER BY application_name FOR UPDATE",
            ([projection.name for projection in projections],),
        )
        staging.keep_vacuum_off(cursor, projections)
        catch_up(application, cursor, projections)
        for projection in projections:
            _keep_moved_names(cursor, staging, projection)
        differences = list(find_differences(application, cursor, staging, projections))
        if differences and not accept:
            raise ProjectionsDifferError(differences)
        if swap:
            dependents = find_views(cursor, staging.live_tables(projections))
            _lock_out_readers(cursor, staging, projections, dependents)
            detached = DetachedViews(cursor, dependents)
            for projection in projections:
                staging.swap_in(cursor, projection)
            detached.attach()
        staging.close(cursor)


def _keep_moved_names(cursor: Cursor[Any], staging: StagingSchema, projection: Projection) -> None:
    """Keep the newest names of action maps that are known from events of slices that have moved elsewhere.

    The log of this store does not have these events any more, and the names are right all the same.
    """
    if _NAMES in projection.tables:
        cursor.execute(sql.SQL(_KEEP_NAMES).format(live=sql.Identifier(staging.live, _NAMES)))
