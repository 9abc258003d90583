"""The end of hung sessions: their process no longer sends, and others wait for them.

A process that is stopped in the middle of a COPY leaves its session `active`, so none of the server's
time-outs ends it. Meanwhile its append holds up every reader of the log, and its projector keeps projections
from every other projector. A hung session differs from a busy one: the server waits for its client.
"""

import logging
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import Cursor

HUNG_SECONDS: Final = 10
"""The time that the server may wait for a client inside a transaction, as for an idle transaction."""

_SELECT_SILENT_SESSIONS: LiteralString = """
    SELECT a.pid, a.state_change, coalesce(c.bytes_processed, 0) AS received
    FROM pg_stat_activity a LEFT JOIN pg_stat_progress_copy c USING (pid)
    WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
      AND a.state <> 'idle' AND a.wait_event_type = 'Client' AND a.wait_event = 'ClientRead'
      AND a.state_change < clock_timestamp() - make_interval(secs => %s)
      AND a.pid IN (
        SELECT pid FROM pg_locks
        WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND (
            (locktype = 'advisory' AND classid::bigint = %s AND objsubid = 2)
            OR (locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = %s::regclass)
        )
      )
"""

_TERMINATE_SESSION: LiteralString = "SELECT pg_terminate_backend(%s)"

SilentSessions = frozenset[tuple[int, datetime, int]]
"""Sessions whose server process waits for its client: pid, since when, and the bytes of COPY received."""

_log = logging.getLogger(__name__)


def end_hung_sessions(
    cursor: Cursor[Any], events_table: str, lock_space: int, previous: SilentSessions
) -> SilentSessions:
    """End every session that writes events or owns a projection and whose client is silent for too long.

    A session is ended if it has received nothing between two calls, so a COPY over a slow connection goes on.
    A session in COMMIT never waits for its client, so no commit is cut short. When the process of an ended
    session resumes, its connection is gone and it begins anew, so nothing is applied twice.

    Args:
        cursor: In auto-commit mode, as the database user of the sessions.
        events_table: The quoted name of the events table, with its schema.
        lock_space: The first key of the projectors' advisory locks.
        previous: The result of the call before; empty at the first one.

    Returns:
        The sessions that are silent now.
    """
    found = cursor.execute(_SELECT_SILENT_SESSIONS, (HUNG_SECONDS, lock_space, events_table)).fetchall()
    silent = frozenset((row["pid"], row["state_change"], row["received"]) for row in found)
    for pid, since, _ in silent & previous:
        cursor.execute(_TERMINATE_SESSION, (pid,))
        _log.warning("ended session %d of PostgreSQL: its client has sent nothing since %s", pid, since)
    return silent
