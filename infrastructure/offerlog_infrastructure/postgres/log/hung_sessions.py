"""Ending sessions of ours that hold up others because their process no longer sends.

A process that is stopped in the middle of a COPY leaves its session `active`, and none of the server's
time-outs counts that as idle. Meanwhile an append keeps every reader of the log from going on, and a
projector keeps its views from every other projector. Such a session differs from a busy one: the server
waits for its client.
"""

import logging
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import Cursor

HUNG_SECONDS: Final = 10
"""How long a session may wait for its client inside a transaction: as long as an idle one may."""

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
"""Sessions that wait for their clients: pid, since when, and the bytes of their COPY that have come."""

_log = logging.getLogger(__name__)


def end_hung_sessions(
    cursor: Cursor[Any], events_table: str, lock_space: int, previous: SilentSessions
) -> SilentSessions:
    """End every session that writes events or owns a view, and whose client has been silent for too long.

    A session is ended when two looks find that nothing has come in between, so a COPY over a slow
    connection goes on. A session in COMMIT never waits for its client, so no commit is cut short. When the
    process of an ended session goes on, it finds its connection gone and begins anew, so nothing is applied
    twice.

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
