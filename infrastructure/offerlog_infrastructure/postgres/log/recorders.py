"""The library's recorders, made safe and fast: COPY for appends, no table lock, no gaps for readers.

The library's own PostgreSQL recorders lock the whole table for every append and notify inside the appending
transaction. After a lost connection they try again without asking whether the first try was committed. For a
topic filter that matches nothing they scan the log again and again. These recorders do none of that.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
    Tracking,
)
from eventsourcing.postgres import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresTrackingRecorder,
)
from psycopg import Connection, sql
from psycopg.rows import DictRow

from offerlog_application.ports.event_log import StaleEpochError
from offerlog_application.ports.positions import begin_of_shard
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import TableLockedError
from offerlog_infrastructure.postgres.log.append_transaction import AppendStep, AppendTransaction
from offerlog_infrastructure.postgres.log.copying import (
    BlockConflictError,
    ParkingEndedError,
    RowConflictError,
    StaleLoadError,
    VisitorConflictError,
    blocks_statement,
    blocks_step,
    copy_events,
    events_statement,
    events_step,
    raise_conflict,
    refusals_statement,
    refusals_step,
    visitors_statement,
    visitors_step,
)
from offerlog_infrastructure.postgres.log.horizon import POSITIONS_SEQUENCE, SafeHorizon
from offerlog_infrastructure.postgres.log.lost_commit import LostCommit
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.log.subscription import TimedSubscription
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusalRow
from offerlog_infrastructure.postgres.refusals.tallies import tallies_statement
from offerlog_infrastructure.postgres.refusals.waited_refusals import waited_steps

_SET_SHORT_LOCK_TIMEOUT: Final = b"SET LOCAL lock_timeout = '10ms'"
"""For an append that may meet a hung writer: others are waiting already, so it gives up soon."""

_STALE_EPOCH: Final = "OEPCH"
"""The SQLSTATE of `look_before_commit` for a decision of another epoch; its detail is the current epoch."""

_PARKING_ENDED: Final = "OPARK"
"""The SQLSTATE of `end_short_parkings` for a short signal that does not wait any more."""

_CONFLICTS: Final = {
    "offerlog_events": RowConflictError,
    "visitors": VisitorConflictError,
    "counted_blocks": BlockConflictError,
}
"""The tables in which two writers may want the same row."""

_PATIENCE_SECONDS: Final = 60
"""Time limit for a reader's first safe position."""

_SELECT_PAGE: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state FROM {}
    WHERE notification_id BETWEEN %s AND %s AND (%s::text[] IS NULL OR topic = ANY(%s::text[]))
    ORDER BY notification_id LIMIT %s
"""


def _to_notification(row: DictRow) -> Notification:
    return Notification(
        row["originator_id"],
        row["originator_version"],
        row["topic"],
        bytes(row["state"]),
        row["notification_id"],
    )


def _raise_cause(error: psycopg.Error, failed: AppendStep | None) -> None:
    """Raise the error that says more than PostgreSQL's; do nothing if there is none.

    Raises:
        StaleEpochError: The look at the epoch has failed.
        ParkingEndedError: The end of a parking has failed.
        RowConflictError: Another writer has a row, or is about to.
        TableLockedError: A table is locked.
    """
    if failed is None:
        return
    if error.sqlstate == _STALE_EPOCH:
        raise StaleEpochError(int(error.diag.message_detail or 0)) from error
    if error.sqlstate == _PARKING_ENDED:
        raise ParkingEndedError from error
    if failed.table in _CONFLICTS:
        raise_conflict(error, _CONFLICTS[failed.table])
    if failed.table and isinstance(error, psycopg.errors.LockNotAvailable):
        raise TableLockedError(failed.table, error) from error


def _to_rows(events: Sequence[StoredEvent]) -> list[EventRow]:
    rows = []
    for event in events:
        assert isinstance(event.originator_id, UUID)  # noqa: S101 - our streams are UUIDs
        rows.append(EventRow(event.originator_version, event.originator_id, event.topic, event.state))
    return rows


class EpochState(NamedTuple):
    """An epoch, and what does not change without a new one.

    Attributes:
        epoch: The epoch.
        slices: The slices that the store owns.
        has_archive: True if events may lie in the archive.
    """

    epoch: int
    slices: frozenset[int]
    has_archive: bool


class _AppendedRows(NamedTuple):
    """The rows of an append."""

    events: Sequence[EventRow]
    visitors: Sequence[Sequence[Any]]
    blocks: Sequence[Sequence[Any]]
    refusals: Sequence[RefusalRow]


class StreamRecorder(PostgresAggregateRecorder):
    """Streams without a global order: the library's aggregate recorder by COPY."""

    def create_table(self) -> None:
        """Do nothing: migrations make the tables."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append all events or none.

        Raises:
            IntegrityError: A version is taken.
        """
        if stored_events:
            table = sql.Identifier(self.datastore.schema, self.events_table_name)
            with self.datastore.transaction(commit=True) as cursor:
                copy_events(cursor, table, _to_rows(stored_events))
        return None


class LogRecorder(PostgresApplicationRecorder):
    """The log: streams with a global position, read without gaps."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        schema = datastore.schema
        table, refusals = sql.Identifier(schema, events_table_name), sql.Identifier(schema, "refusals")
        self._table = table
        self._refusals = refusals
        self._tallies = sql.Identifier(schema, "refusal_tallies")
        self._lost_commit = LostCommit(datastore, table, refusals)
        self._horizon = SafeHorizon(schema, events_table_name)
        self._horizon_lock = threading.Lock()
        self._copy_events = events_statement(table).as_bytes(None)
        self._copy_visitors = visitors_statement(sql.Identifier(schema, "visitors")).as_bytes(None)
        self._copy_blocks = blocks_statement(sql.Identifier(schema, "counted_blocks")).as_bytes(None)
        self._copy_refusals = refusals_statement(refusals).as_bytes(None)
        self._select_epoch = sql.SQL(
            "SELECT epoch, ARRAY(SELECT slice FROM {} WHERE is_owned) AS slices,"
            " EXISTS (SELECT FROM {}) AS has_archive FROM {}"
        ).format(
            sql.Identifier(schema, "slices"),
            sql.Identifier(schema, "archive_place"),
            sql.Identifier(schema, "log_epoch"),
        )
        sequence = f'"{schema}"."{POSITIONS_SEQUENCE}"'
        check = sql.Identifier(schema, "look_before_commit").as_bytes(None)
        last_drawn = sql.SQL("currval({})").format(sql.Literal(sequence)).as_bytes(None)
        self._look_behind_events = b"SELECT " + last_drawn.replace(b"%", b"%%") + b", " + check + b"(%d)"
        self._look_behind_refusals = b"SELECT NULL, " + check + b"(%d)"

    def create_table(self) -> None:
        """Do nothing: migrations make the tables."""

    def select_epoch(self) -> int:
        """Return the current epoch."""
        return self.select_epoch_state().epoch

    def select_epoch_state(self) -> EpochState:
        """Return the current epoch, with what changes with it alone."""
        with self.datastore.cursor() as cursor:
            row = cursor.execute(self._select_epoch).fetchone()
        assert row is not None  # noqa: S101 - a migration makes the row, and a constraint keeps it the only one
        return EpochState(int(row["epoch"]), frozenset(row["slices"]), bool(row["has_archive"]))

    def append(
        self,
        events: Sequence[EventRow],
        refusals: Sequence[RefusalRow] = (),
        visitors: Sequence[Sequence[Any]] = (),
        blocks: Sequence[Sequence[Any]] = (),
        *,
        epoch: int,
        hurried: bool = False,
        loaded_from: str | None = None,
        besides: Sequence[AppendStep] = (),
    ) -> int | None:
        """Append visitors, events and refusals as one; returns the last position, None without events.

        If the connection is lost during the commit, the server is asked whether it took place.
        The true outcome is returned or raised.

        Args:
            events: In order of their streams, as all writers have it.
            refusals: For the refusal log.
            visitors: Rows of visitors who are new with these events, in order of their digests.
            blocks: Rows with the names of the blocked offers that these events count, in order.
            epoch: The epoch under which all of it was decided.
            hurried: Whether to wait for another writer for a moment only.
            loaded_from: The server from which the events were loaded on which this builds; None for any.
            besides: Further statements. Without events and refusals, they may be carried out twice.

        Raises:
            StaleLoadError: Another server answers; nothing was stored.
            StaleEpochError: The epoch is another one; nothing was stored.
            RowConflictError: Another writer has a version, or is about to; nothing was stored.
            VisitorConflictError: Another writer has a new visitor, or is about to; nothing was stored.
            BlockConflictError: Another writer counts one of the blocked offers; nothing was stored.
            ParkingEndedError: Another process has ended a parking; nothing was stored.
            OperationalError: The server could not be reached; nothing was stored.
            OutcomeUnknownError: The commit was sent, and the server has not answered for a minute.
        """
        with self.datastore.get_connection() as connection:
            assert isinstance(connection, StoreConnection)  # noqa: S101 - the pool makes no other
            if loaded_from is not None and connection.server != loaded_from:
                raise StaleLoadError
            rows = _AppendedRows(events, visitors, blocks, refusals)
            steps = self._make_steps(connection, rows, epoch, hurried=hurried)
            transaction = AppendTransaction(connection, [*steps[:-1], *besides, steps[-1]])
            try:
                position = transaction.run()
            except psycopg.Error as error:
                if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                    connection.close()  # a new connection may reach the primary
                    raise
                if not connection.closed:
                    _raise_cause(error, transaction.failed)
                    raise
                # The connection is gone, whatever the driver's class (InternalError for a time-out).
                if not transaction.may_be_committed:
                    raise OperationalError(str(error)) from error
                lost_connection = error
            else:
                return None if position is None else int(position)
        copied = [one for one in refusals if one.parked_number is None]  # another may have been there before
        committed = self._lost_commit.find(transaction.transaction_id, events, copied)
        if committed is not None:
            return committed.position
        raise OperationalError(str(lost_connection)) from lost_connection

    def _make_steps(
        self, connection: Connection[DictRow], rows: "_AppendedRows", epoch: int, *, hurried: bool
    ) -> list[AppendStep]:
        """Return the statements of an append. The look at the epoch comes last, and selects the position."""
        events, refusals = rows.events, rows.refusals
        steps = [AppendStep(_SET_SHORT_LOCK_TIMEOUT)] if hurried else []
        if events:
            steps.append(events_step(self.events_table_name, self._copy_events, events))
        if rows.visitors:  # behind the events, whose lock shows every writer, also one that hangs here
            steps.append(visitors_step("visitors", self._copy_visitors, rows.visitors))
        if rows.blocks:
            steps.append(blocks_step("counted_blocks", self._copy_blocks, rows.blocks))
        waited = [one for one in refusals if one.parked_number is not None]
        if waited:
            steps += waited_steps(self._refusals, self._tallies, waited)
            refusals = [one for one in refusals if one.parked_number is None]
        if refusals:
            steps.append(refusals_step("refusals", self._copy_refusals, refusals))
            tallies = tallies_statement(self._tallies, refusals).as_bytes(connection)
            steps.append(AppendStep(tallies, "refusal_tallies"))
        look = self._look_behind_events if events else self._look_behind_refusals
        return [*steps, AppendStep(look % epoch, "log_epoch")]

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append events for the library; returns every event's position.

        Raises:
            IntegrityError: A version is taken.
        """
        if not stored_events:
            return None
        self.append(_to_rows(stored_events), epoch=self.select_epoch())
        statement = sql.SQL(
            "SELECT notification_id FROM unnest(%s::uuid[], %s::int[]) WITH ORDINALITY AS k (id, version, n)"
            " JOIN {} ON originator_id = k.id AND originator_version = k.version ORDER BY k.n"
        ).format(self._table)
        keys = [e.originator_id for e in stored_events], [e.originator_version for e in stored_events]
        with self.datastore.cursor() as cursor:
            return [row["notification_id"] for row in cursor.execute(statement, keys)]

    def safe_position(self) -> int:
        """Return the position up to which the log is complete now.

        Waits only if writers are at work and no safe position has been found since the connection was opened.
        A later crash of the server makes the position invalid (see `SafeHorizon`), so read on the same
        connection.

        Raises:
            OperationalError: A writer that was at work at the beginning has not ended within a minute.
        """
        with self.datastore.get_connection() as connection:
            return self._safe_position(connection)

    def _safe_position(self, connection: Connection[DictRow]) -> int:
        """Return the safe position for reads that follow on this connection.

        All readers share one horizon. A crash ends every connection. So a connection that was open before the
        horizon's position was read, and that still answers, proves that the server has not crashed since. A
        younger connection waits until the horizon has moved.
        """
        assert isinstance(connection, StoreConnection)  # noqa: S101 - the pool makes no other
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with connection.cursor() as cursor:
            while True:
                with self._horizon_lock:
                    position, as_of = self._horizon.advance(cursor), self._horizon.as_of
                if position is not None and as_of is not None and connection.opened < as_of:
                    return position
                if time.monotonic() > deadline:
                    raise OperationalError(
                        f"writers of {self._horizon.table} have not ended within {_PATIENCE_SECONDS} seconds:"
                        " look for old transactions in pg_stat_activity and end them"
                    )
                time.sleep(0.002)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Select a page of the log, never past the safe position of the connection that reads it."""
        statement = sql.SQL(_SELECT_PAGE).format(self._table)
        with self.datastore.get_connection() as connection:
            safe = self._safe_position(connection)
            first = 0 if start is None else start if inclusive_of_start else start + 1
            begin = max(first, begin_of_shard(safe) + 1)
            wanted = list(topics) or None
            where = begin, safe if stop is None else min(stop, safe), wanted, wanted, limit
            return [_to_notification(row) for row in connection.execute(statement, where, prepare=True)]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription["LogRecorder"]:
        """Follow the log by polling every few hundredths of a second."""
        return TimedSubscription(self, gt=gt, topics=topics)


class PositionRecorder(PostgresTrackingRecorder):
    """Positions of projections, stored in the transaction that changes the projection's tables."""

    def advance(self, connection: Connection[DictRow], projection: str, position: int) -> None:
        """Store a projection's position in the current transaction of a connection.

        Raises:
            IntegrityError: The projection is at that position or past it already.
        """
        with connection.cursor() as cursor:
            self._insert_tracking(cursor, Tracking(projection, position))
