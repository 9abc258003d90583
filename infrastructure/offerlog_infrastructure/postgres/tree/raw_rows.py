"""Stored events in bytes, as their leaves are hashed from them."""

from operator import itemgetter
from struct import Struct
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from offerlog_application.ports.positions import begin_of_shard
from offerlog_domain.transparency.leaves import RawRow, position_of
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived

RAW_COLUMNS: LiteralString = """
    int8send(notification_id) || int4send(originator_version) || uuid_send(originator_id),
    convert_to(topic, 'UTF8'), state
"""
"""The columns of a `RawRow`."""

_SELECT_RAW: Final = f"""
    SELECT {RAW_COLUMNS} FROM offerlog_events
    WHERE notification_id > $1 AND notification_id <= $2 ORDER BY notification_id
""".encode()
_BIGINT: Final = 20
_HEAD: Final = Struct(">qi")


def read_raw_rows(connection: Connection[Any], files: ArchivedFiles, after: int, until: int) -> list[RawRow]:
    """Return the events behind a position and up to another, in order: those of the latter's shard alone.

    The call blocks until the whole answer has come, without the interpreter lock. A cursor would ask for the
    lock after every few kilobytes, and wait for a thread that hashes each time: an audit would take half as
    long again.

    Raises:
        psycopg.Error: The server refuses, or the connection is lost.
        ArchiveUnavailableError: A file with archived events cannot be read.
    """
    raw, after = connection.pgconn, max(after, begin_of_shard(until))
    asked = [b"%d" % after, b"%d" % until]
    result = raw.exec_params(_SELECT_RAW, asked, [_BIGINT, _BIGINT], result_format=Format.BINARY)
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    value = result.get_value
    rows: list[RawRow] = [(value(n, 0), value(n, 1), value(n, 2)) for n in range(result.ntuples)]  # type: ignore[misc] # no column is NULL
    return add_archived_raw(connection, files, rows, after, until)


def add_archived_raw(
    connection: Connection[Any],
    files: ArchivedFiles,
    rows: list[RawRow],
    after: int,
    until: int,
    *,
    limit: int | None = None,
) -> list[RawRow]:
    """Add archived events to events of the table, as `add_archived` does."""
    end = position_of(rows[-1]) if limit is not None and len(rows) >= limit else until
    archived = add_archived(connection, files, (), after, end, limit=limit)
    if not archived:
        return rows
    known = {row[0] for row in rows}
    more = [one for row in archived if (one := _to_raw(*row))[0] not in known]
    return sorted([*rows, *more], key=_get_head)[:limit]


def _to_raw(position: int, stream: UUID, version: int, topic: str, state: bytes) -> RawRow:
    return _HEAD.pack(position, version) + stream.bytes, topic.encode(), state


_get_head = itemgetter(0)
"""The head of a row begins with its position, which is positive."""
