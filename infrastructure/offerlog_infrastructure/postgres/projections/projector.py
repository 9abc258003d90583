"""The projector: applies the log to the projections, page by page, exactly once.

Any number of processes may run one. For each projection one of them is active, by an advisory lock that its
connection holds, and the others stand by. A page and its position are written in one transaction on that same
connection, so a process that loses the connection loses the lock and the page.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final, LiteralString

import psycopg
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.ports.tracing import UNTRACED, ProjectedPage, Trace
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived
from offerlog_infrastructure.postgres.archive.archived_rows import select_end
from offerlog_infrastructure.postgres.connections import StoreConnection, await_end
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import SafeHorizon
from offerlog_infrastructure.postgres.log.hung_sessions import SilentSessions, end_hung_sessions
from offerlog_infrastructure.postgres.log.pages import decode_page, select_page
from offerlog_infrastructure.postgres.projections.apply_page import apply_page
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS, Projection, create_merge_tables
from offerlog_infrastructure.postgres.tree.sealer import TreeDamagedError, TreeSealer

PAGE: Final = 2_000
"""Number of events that one transaction of the projector takes."""

_LOOK_SECONDS: Final = 0.02
"""Seconds between two looks for new events: less often delays readers, more often slows writers."""

_PAUSE_SECONDS: Final = 0.05
"""Seconds between two looks while events keep coming. Each page is a transaction: without a pause, pages are
so small that a service under load spends a tenth of its processor time on them."""

_STAND_BY_SECONDS: Final = 0.5
"""Seconds after which a projector on standby tries to become active."""

_EPOCH_SECONDS: Final = 1.0
"""Seconds between two looks at the epoch, with which keys may have been destroyed."""

_STUCK_SECONDS: Final = 2.0
"""Seconds after which a projector that is stuck or on standby looks for hung sessions."""

_ANSWER_SECONDS: Final = 120.0
"""Seconds to wait for an answer before the connection counts as lost: longer than a rebuild compares."""

LOCK_SPACE: Final = 0x6F66_6C67
"""The first key of the advisory locks ("oflg" in ASCII); the second key is the projection's number."""

_SELECT_HAS_NEW_EVENTS: LiteralString = """
    SELECT EXISTS (
        SELECT FROM offerlog_events WHERE notification_id <= %s AND notification_id > greatest(%s, (
            SELECT min(notification_id) FROM offerlog_tracking WHERE application_name = ANY(%s)
        ))
    ) AS new
"""
"""Asked before a row is locked: a row lock is a write, and an idle service writes nothing."""

_SELECT_EPOCH: LiteralString = "SELECT epoch FROM log_epoch"
_SELECT_POSITIONS: LiteralString = """
    SELECT application_name AS name, notification_id AS position FROM offerlog_tracking
    WHERE application_name = ANY(%s) ORDER BY application_name FOR UPDATE
"""
_log = logging.getLogger(__name__)


class PostgresProjector:
    """The projector of one process: a thread that keeps its projections up to date with the log.

    Attributes:
        error: The error that stopped the last page, None while all is well; the page is tried again.
    """

    def __init__(
        self,
        application: OfferlogApplication,
        projections: Sequence[Projection] = PROJECTIONS,
        *,
        trace: Trace = UNTRACED,
        seal: bool = True,
    ) -> None:
        self._application = application
        self._sealer = TreeSealer(LOCK_SPACE, application.archived_files) if seal else None
        self._seal_trouble = RepeatedTrouble(_log, "the tree over the log could not be continued")
        self._trace = trace
        self._projections = projections
        self._recorder = application.positions
        self._wake_up = threading.Event()
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._connection: StoreConnection | None = None
        self._epoch: int | None = None
        self._archive_end = 0
        self._looked_at = 0.0
        self.error: Exception | None = None
        self._trouble = RepeatedTrouble(_log, "the projector stopped and will try again")
        self._thread = threading.Thread(target=self._run, name="offerlog-projector", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for new events now, because a caller waits for them."""
        self._wake_up.set()

    def await_move(self, timeout: float) -> None:
        """Wait until this projector has applied a page, at most `timeout` seconds."""
        with self._progress:
            self._progress.wait(timeout)

    def close(self) -> None:
        """Stop after the current page and release the projections for other processes.

        A page that lasts for more than five seconds is rolled back.
        """
        self._stopping.set()
        self._wake_up.set()
        await_end(self._thread, lambda: self._connection)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with (
                    store_reached(self._application.reading),
                    self._application.connect(answer_within=_ANSWER_SECONDS) as connection,
                ):
                    self._connection = connection
                    self._keep_up(connection)
            except Exception as error:  # noqa: BLE001 - no error of a page ends the projector
                if self._stopping.is_set():  # it was cut
                    return
                self.error = error
                self._trouble.note(error)
                self._stopping.wait(_STAND_BY_SECONDS)

    def _keep_up(self, connection: Connection[DictRow]) -> None:
        """Apply pages to the projections that this connection owns, until stopped or an error."""
        # The loop runs many times a second. If it stops or hangs, the server ends it and another takes over.
        connection.execute("SET idle_session_timeout = '10s'")
        connection.execute("SET lock_timeout = 0")  # a rebuild locks the positions while it swaps
        create_merge_tables(connection)
        if self._sealer is not None:
            self._sealer.begin()
        owned: list[Projection] = []
        claimed_at = checked_at = 0.0
        silent_sessions: SilentSessions = frozenset()
        log = self._application.log
        horizon = SafeHorizon(log.datastore.schema, log.events_table_name)
        while not self._stopping.is_set():
            if len(owned) < len(self._projections) and time.monotonic() - claimed_at >= _STAND_BY_SECONDS:
                claimed_at = time.monotonic()
                self._archive_end = select_end(connection)
                owned += self._claim(connection, owned)
            self._follow_epoch(connection)
            has_moved, is_working = False, not owned
            if owned:
                with connection.cursor() as cursor:
                    safe = horizon.advance(cursor)
                    new = safe is not None and self._has_new_events(cursor, owned, safe)
                while new and safe is not None and not self._stopping.is_set():
                    if not self._apply_next_page(connection, owned, safe):
                        break
                    has_moved = True
                    with self._progress:
                        self._progress.notify_all()
                    self._seal(connection, safe)  # projections that are far behind do not delay the tree
                is_working = safe is not None
                self._seal(connection, safe)
            if is_working:
                self.error = None
                self._trouble.over()
            is_stuck = len(owned) < len(self._projections) or horizon.seconds_stuck() > _STUCK_SECONDS
            if is_stuck and time.monotonic() - checked_at >= _STUCK_SECONDS:
                checked_at = time.monotonic()
                with connection.cursor() as cursor:
                    silent_sessions = end_hung_sessions(cursor, horizon.table, LOCK_SPACE, silent_sessions)
            pause = _PAUSE_SECONDS if has_moved else _LOOK_SECONDS if owned else _STAND_BY_SECONDS
            self._wake_up.wait(pause)
            self._wake_up.clear()

    def _seal(self, connection: Connection[DictRow], safe: int | None) -> None:
        """Add events to the tree if that is due. Trouble with the tree does not stop the projections."""
        if self._sealer is None or safe is None or not self._sealer.is_due():
            return
        try:
            self._sealer.seal(connection, safe)
        except (TreeDamagedError, psycopg.Error) as error:
            if connection.closed:
                raise
            self._seal_trouble.note(error)
        else:
            self._seal_trouble.over()

    @staticmethod
    def _has_new_events(cursor: Cursor[DictRow], owned: Sequence[Projection], safe: int) -> bool:
        """Return whether the log holds an event that one of these projections lacks."""
        row = cursor.execute(
            _SELECT_HAS_NEW_EVENTS,
            (safe, begin_of_shard(safe), [projection.name for projection in owned]),
            prepare=True,
        ).fetchone()
        return row is not None and bool(row["new"])

    def _follow_epoch(self, connection: Connection[DictRow]) -> None:
        """Forget keys that may be destroyed if the epoch has changed; looks at it once a second."""
        if time.monotonic() - self._looked_at < _EPOCH_SECONDS:
            return
        self._looked_at = time.monotonic()
        row = connection.execute(_SELECT_EPOCH, prepare=True).fetchone()
        epoch = None if row is None else int(row["epoch"])
        if epoch != self._epoch:
            self._application.visitor_keys.forget()
            self._application.keys.refresh_secrets()
            self._epoch = epoch

    def _claim(self, connection: Connection[DictRow], owned: Sequence[Projection]) -> list[Projection]:
        claims = []
        for number, projection in enumerate(self._projections):
            if projection not in owned:
                row = connection.execute(
                    "SELECT pg_try_advisory_lock(%s, %s) AS mine", (LOCK_SPACE, number)
                ).fetchone()
                if row is not None and row["mine"]:
                    claims.append(projection)
        return claims

    def _apply_next_page(
        self, connection: Connection[DictRow], owned: Sequence[Projection], safe: int
    ) -> bool:
        """Apply one page to the projections that are furthest behind; returns whether there was one."""
        pages: list[ProjectedPage] = []
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            cursor.execute(_SELECT_POSITIONS, ([projection.name for projection in owned],), prepare=True)
            positions: dict[str, int] = dict(cursor.fetchall())
            behind = min(positions.values())
            ahead = [position for position in positions.values() if position > behind]
            until, files = min([safe, *ahead]), self._application.archived_files
            found = select_page(cursor, behind, until, PAGE)
            if behind < self._archive_end:  # a projection that is made anew
                found = list(add_archived(connection, files, found, behind, until, limit=PAGE))
            last = found[-1][0] if found else min(ahead, default=0)
            if not behind < last <= safe:
                return False
            page = decode_page(cursor, self._application.event_mapper, files, found)
            for projection in owned:
                if positions[projection.name] == behind:
                    began = time.time_ns()
                    apply_page(cursor, projection.name, projection.apply, page)
                    self._recorder.advance(connection, projection.name, last)
                    pages.append(
                        ProjectedPage(projection.name, behind, last, len(found), began, time.time_ns())
                    )
        for page_trace in pages:  # only now is the page durable
            self._trace.page(page_trace)
        return True
