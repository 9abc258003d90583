"""The fence on PostgreSQL: a new epoch, and the end of all transactions that may have looked at the old one.

A writer first copies its events, which locks the events table, and then looks at the epoch. So at any moment
a writer that has looked, and has not committed, holds that lock. The fence commits a new epoch, and only then
lists the transactions that hold the lock. A writer that looked before is on the list, and the fence waits for
its end. A writer that looks later sees the new epoch and rolls back. The conditions: READ COMMITTED, so that
the look takes a new snapshot, and the look after COPY. The fence holds no lock while it waits.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.write_fence import FENCE_SECONDS, FenceTimeoutError
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_ANSWER_SECONDS: Final = 30.0
"""Seconds to wait for an answer before the connection counts as lost."""

_SHORT_SECONDS: Final = 0.1
"""Seconds for which `finish` waits on a connection of the pool for reads, before it opens another one."""

_PAUSES: Final = (0.001, 0.05)
"""Seconds between two looks at the writers: at first, and at most."""

_SHORT_PAUSES: Final = (0.001, 0.004)
"""Seconds between two looks at the writers, at first and at most, where visitors wait."""

_RAISE_EPOCH: LiteralString = "UPDATE log_epoch SET epoch = epoch + 1 RETURNING epoch"
_SELECT_EPOCH: LiteralString = "SELECT epoch FROM log_epoch"

_SELECT_WRITERS: LiteralString = """
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation IN (
          'offerlog_events'::regclass, 'refusals'::regclass, 'parked_short_signals'::regclass
      )
"""
"""Every append locks one of these tables, and looks at the epoch afterwards."""

_CREATE_AWAITING: LiteralString = """
    CREATE FUNCTION pg_temp.await_writers(seconds float8) RETURNS boolean LANGUAGE plpgsql AS $body$
    DECLARE
        deadline timestamptz := clock_timestamp() + make_interval(secs => seconds);
        awaited text[] := ARRAY({writers});
    BEGIN
        WHILE awaited <> '{{}}' LOOP
            IF clock_timestamp() > deadline THEN RETURN false; END IF;
            PERFORM pg_sleep(0.001);
            awaited := ARRAY({writers} AND virtualtransaction = ANY(awaited));
        END LOOP;
        RETURN true;
    END $body$
"""

_SELECT_HOLDERS: LiteralString = """
    SELECT l.pid, a.application_name, a.state, p.gid, p.owner::text,
        extract(epoch FROM n.now - coalesce(a.state_change, p.prepared, n.now))::float8,
        extract(epoch FROM n.now - coalesce(a.xact_start, n.now))::float8
    FROM (SELECT clock_timestamp() AS now) AS n, (
        SELECT DISTINCT virtualtransaction, pid FROM pg_locks WHERE virtualtransaction = ANY(%s)
    ) AS l
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND EXISTS (
        SELECT FROM pg_locks x
        WHERE x.virtualtransaction = l.virtualtransaction AND x.transactionid = p.transaction
    )
    ORDER BY l.pid
"""
"""The server hides the state of sessions of other users, unless this one may see it. It shows locks first and
sessions after them, so a transaction may have ended in between: then it has no start."""


class PostgresFence:
    """The application's `WriteFence`.

    A method has the errors of the method of `WriteFence`, and those that it names.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    def fence(self, seconds: float = FENCE_SECONDS) -> int:
        """Raise the epoch, and wait until no writer of an older epoch is left; returns the new epoch.

        Raises:
            FenceTimeoutError: Some writers have not ended; the error names them.
        """
        began = time.monotonic()
        with self._connected(seconds) as connection:
            epoch = raise_epoch(connection)  # committed before the writers are listed
            _await_writers(connection, epoch, began, began + seconds)
        return epoch

    def finish(self, seconds: float = FENCE_SECONDS) -> int:
        """Wait until no writer of an older epoch is left, without raising the epoch; returns the epoch.

        Raises:
            FenceTimeoutError: Some writers have not ended; the error names them.
        """
        began = time.monotonic()
        with store_reached(self._application.reading), self._application.reading.get_connection() as pooled:
            epoch = _select_number(pooled, _SELECT_EPOCH)
            with suppress(FenceTimeoutError):  # most writers end in milliseconds: no further connection
                until = min(began + seconds, time.monotonic() + _SHORT_SECONDS)
                _await_writers(pooled, epoch, began, until)
                return epoch
        with self._connected(seconds) as connection:
            epoch = _select_number(connection, _SELECT_EPOCH)
            _await_writers(connection, epoch, began, began + seconds)
        return epoch

    @contextmanager
    def _connected(self, seconds: float) -> Iterator[Connection[Any]]:
        """Open a connection outside the pools, in auto-commit mode: no transaction stays open."""
        with (
            store_reached(self._application.log.datastore),
            self._application.connect(_ANSWER_SECONDS) as connection,
        ):
            # Another fence holds the row of the epoch for a moment, an erasure perhaps for longer.
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{seconds * 1000:.0f}ms",))
            yield connection


def await_writers(connection: Connection[Any], seconds: float, *, waited: float = 0.0) -> None:
    """Wait until every writer of now has ended, with short pauses: others wait for what comes behind.

    Args:
        connection: In auto-commit mode.
        seconds: How long to wait.
        waited: Seconds for which the caller has waited before; the error counts them too.

    Raises:
        FenceTimeoutError: Some writers have not ended; the error names them.
    """
    now = time.monotonic()
    _await_writers(connection, None, now - waited, now + seconds, _SHORT_PAUSES)


def let_server_await_writers(connection: Connection[Any]) -> None:
    """Give a session a function that waits for writers as `await_writers` does, without a round trip a look.

    `pg_temp.await_writers(seconds)` returns false if some have not ended. It must see a fence that is
    committed, so it is a statement of a later transaction, at READ COMMITTED.
    """
    connection.execute(sql.SQL(_CREATE_AWAITING).format(writers=sql.SQL(_SELECT_WRITERS)))


def raise_epoch(connection: Connection[Any]) -> int:
    """Raise the epoch in the current transaction, and return it; a fence waits once that is committed."""
    return _select_number(connection, _RAISE_EPOCH)


def _select_number(connection: Connection[Any], statement: LiteralString) -> int:
    row = connection.cursor(row_factory=tuple_row).execute(statement).fetchone()
    assert row is not None  # noqa: S101 - a migration makes the row, and a constraint keeps it the only one
    return int(row[0])


def _await_writers(
    connection: Connection[Any],
    epoch: int | None,
    began: float,
    deadline: float,
    pauses: tuple[float, float] = _PAUSES,
) -> None:
    """Wait until every transaction that holds the lock now has ended; later ones are not awaited."""
    pause, longest = pauses
    with connection.cursor(row_factory=tuple_row) as cursor:
        awaited = _select_writers(cursor)
        while awaited:
            if time.monotonic() >= deadline:
                epoch = _select_number(connection, _SELECT_EPOCH) if epoch is None else epoch
                seconds = time.monotonic() - began
                raise FenceTimeoutError(epoch, seconds, _describe_holders(cursor, awaited))
            time.sleep(pause)
            pause = min(2 * pause, longest)
            awaited &= _select_writers(cursor)


def _select_writers(cursor: Cursor[Any]) -> frozenset[str]:
    return frozenset(transaction for (transaction,) in cursor.execute(_SELECT_WRITERS, prepare=True))


def _describe_holders(cursor: Cursor[Any], transactions: Collection[str]) -> list[str]:
    """Describe who holds these transactions, and what ends them."""
    found = cursor.execute(_SELECT_HOLDERS, (list(transactions),)).fetchall()
    return [_describe_holder(_Holder(*row)) for row in found]


class _Holder(NamedTuple):
    """A row of `_SELECT_HOLDERS`."""

    pid: int | None
    application: str | None
    state: str | None
    prepared_as: str | None
    owner: str | None
    unchanged_seconds: float
    transaction_seconds: float


def _describe_holder(holder: _Holder) -> str:
    if holder.prepared_as is not None:
        return (
            f"the prepared transaction {holder.prepared_as!r} of {holder.owner} has been open for"
            f" {holder.unchanged_seconds:.0f} seconds: COMMIT PREPARED or ROLLBACK PREPARED it"
        )
    end = f"end it with SELECT pg_terminate_backend({holder.pid})"
    name = f"process {holder.pid} of the server" + (f" ({holder.application})" if holder.application else "")
    if holder.state is None:
        return f"{name} works for another user: {end}"
    if holder.state.startswith("idle in transaction"):
        return f"{name} has been idle in its transaction for {holder.unchanged_seconds:.0f} seconds: {end}"
    if holder.state == "idle":
        return f"{name} has just ended its transaction, and may begin another one"
    return (
        f"{name} has worked in its transaction for {holder.transaction_seconds:.0f} seconds: wait, or {end}"
    )
