"""The session that locks a table of the store, found after a statement has waited for it in vain."""

from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

_SELECT_STRONGEST_LOCK: LiteralString = """
    WITH strong AS (
        SELECT coalesce(h.inhparent, i.indrelid, l.relation) AS relation, l.pid, l.granted,
            array_position(%(modes)s::text[], l.mode) AS strength
        FROM pg_locks l JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_index i ON i.indexrelid = c.oid
        LEFT JOIN pg_inherits h ON h.inhrelid = coalesce(i.indrelid, l.relation) -- a partition: its table
        WHERE l.locktype = 'relation' AND l.mode = ANY(%(modes)s) AND l.pid <> pg_backend_pid()
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND c.relnamespace = current_schema()::regnamespace
    )
    SELECT c.relname::text, s.pid, s.granted, coalesce(a.query, '')
    FROM strong s JOIN pg_class c ON c.oid = s.relation LEFT JOIN pg_stat_activity a ON a.pid = s.pid
    WHERE %(table)s::text IS NULL OR c.relname = %(table)s
    ORDER BY s.granted DESC, s.strength LIMIT 1
"""
_MODES: Final = ["AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"]
"""Locks that stop the writes of others, strongest first; the first stops reads as well."""

_SET_TIME_LIMIT: Final = b"SET LOCAL statement_timeout = '1s'"


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock on a table that stops others.

    Attributes:
        table: The table's name.
        holder: The process of the database server, and the first words of its statement.
    """

    table: str
    holder: str


def find_lock(connection: Connection[Any], table: str | None) -> TableLock | None:
    """Find the strongest lock on a table of the store; None if there is none now.

    Args:
        connection: In auto-commit mode.
        table: The table; None for any.

    Raises:
        psycopg.Error: The server does not answer within a second.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_SET_TIME_LIMIT)
        row = cursor.execute(_SELECT_STRONGEST_LOCK, {"modes": _MODES, "table": table}).fetchone()
    if row is None:
        return None
    name, pid, is_granted, statement = row
    does = "holds it" if is_granted else "waits for it, and others wait behind"
    return TableLock(name, f"process {pid} of the server, {_first_words(statement)}, {does}")


def _first_words(statement: str) -> str:
    """Return the first words of a statement, such as VACUUM FULL, without its names and values."""
    words: list[str] = []
    for word in statement.split():
        if not word.isalpha() or not word.isupper() or len(words) == 2:  # noqa: PLR2004 - two say what it does
            break
        words.append(word)
    return " ".join(words) or "doing something else now"
