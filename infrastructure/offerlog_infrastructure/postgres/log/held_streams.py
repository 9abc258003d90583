"""A search for versions that other writers are about to take, without waiting for those writers.

PostgreSQL does not show what an open transaction has inserted, but an insert of the same key waits for it. So
each key is tried with the shortest lock timeout (1 ms), in a subtransaction that is always rolled back. A
held key costs a little over a millisecond, a free one a tenth of that. If many keys must be tried while
others wait, several connections share them.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import HeldStreams

_KEYS_PER_CONNECTION: Final = 25
"""For each so many keys, one more connection is worth its cost."""

_MAX_CONNECTIONS: Final = 16

_SET_ARGUMENTS: LiteralString = """
    SELECT set_config('lock_timeout', '1ms', true),
        set_config('offerlog.ids', %s, true), set_config('offerlog.versions', %s, true),
        set_config('offerlog.seconds', %s, true)
"""

_TRY_KEYS: LiteralString = """
    DO $$
    DECLARE
        ids uuid[] := current_setting('offerlog.ids')::uuid[];
        versions int[] := current_setting('offerlog.versions')::int[];
        until timestamptz := clock_timestamp() + current_setting('offerlog.seconds')::float8 * interval '1 s';
        held int[] := '{}';
        tried int := 0;
    BEGIN
        -- else a locked table would look like held keys
        LOCK TABLE visitors, offerlog_events IN ROW EXCLUSIVE MODE;
        WHILE tried < cardinality(ids) AND clock_timestamp() < until LOOP
            tried := tried + 1;
            BEGIN
                IF versions[tried] = 0 THEN
                    INSERT INTO visitors (token, digest, kek, organization, wrapped_key, names)
                    VALUES (-(pg_backend_pid()::bigint << 32) - tried, ids[tried], 0, '', '', '');
                ELSE
                    INSERT INTO offerlog_events (originator_version, originator_id, topic, state)
                    VALUES (versions[tried], ids[tried], '', '');
                END IF;
                RAISE EXCEPTION USING ERRCODE = 'OFREE'; -- the row must go
            EXCEPTION
                WHEN lock_not_available THEN held := held || tried;
                WHEN unique_violation OR SQLSTATE 'OFREE' THEN NULL;
            END;
        END LOOP;
        PERFORM set_config('offerlog.held', array_to_string(held, ','), true);
        PERFORM set_config('offerlog.tried', tried::text, true);
    END $$
"""

_SELECT_RESULT: LiteralString = "SELECT current_setting('offerlog.tried'), current_setting('offerlog.held')"


class HeldKey(NamedTuple):
    """A row that another writer may be about to insert.

    Attributes:
        offer_id: The visitor-offer that must wait for that writer.
        id: The stream; for a new visitor, the digest.
        version: The version of the event; None for the row of a new visitor.
    """

    offer_id: UUID
    id: UUID
    version: int | None


class HeldStreamsFinder:
    """A search for held streams; for one thread.

    Args:
        connect: Opens a connection in auto-commit mode.
    """

    def __init__(self, connect: Callable[[], Connection[Any]]) -> None:
        self._connect = connect
        self._connections: list[Connection[Any]] = []

    def find(self, keys: Sequence[HeldKey], seconds: float, *, urgent: bool) -> HeldStreams:
        """Try the key of each visitor-offer.

        Args:
            keys: The keys; tried in this order.
            seconds: How long to try, once connected.
            urgent: True to share many keys among several connections.

        Raises:
            psycopg.OperationalError: The server cannot be reached, or has no connection left.
        """
        count = min(_MAX_CONNECTIONS, 1 + len(keys) // _KEYS_PER_CONNECTION) if urgent else 1
        with ThreadPoolExecutor(count, "offerlog-find-held") as pool:
            self._connections += pool.map(lambda _: self._connect(), range(count - len(self._connections)))
            try:
                shares = [keys[n::count] for n in range(count)]
                results = list(
                    pool.map(lambda n: _try_keys(self._connections[n], shares[n], seconds), range(count))
                )
            except psycopg.Error:
                self.release()
                raise
        return HeldStreams(
            frozenset().union(*(one.held for one in results)),
            frozenset().union(*(one.unknown for one in results)),
        )

    def release(self) -> None:
        """Close the connections; the next search opens new ones."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()


def _try_keys(connection: Connection[Any], keys: Sequence[HeldKey], seconds: float) -> HeldStreams:
    """Try keys on one connection, one after the other."""
    ids = ",".join([str(key.id) for key in keys])
    versions = ",".join([str(key.version or 0) for key in keys])
    with (
        connection.transaction(force_rollback=True),
        connection.cursor(row_factory=tuple_row) as cursor,
    ):
        cursor.execute(_SET_ARGUMENTS, (f"{{{ids}}}", f"{{{versions}}}", f"{seconds:f}"))
        cursor.execute(_TRY_KEYS)
        row = cursor.execute(_SELECT_RESULT).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    tried = int(row[0])
    held = frozenset(keys[int(n) - 1].offer_id for n in row[1].split(",") if n)
    return HeldStreams(held, frozenset(key.offer_id for key in keys[tried:]))
