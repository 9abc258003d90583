"""Archived events beside those of the table, page by page: by position, and by stream."""

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection

from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.ports.slices import StoredRow
from offerlog_infrastructure.postgres.archive.archived_files import FILE_COLUMNS, ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import get_place, select_files

_STEP: Final = 1_000
"""Events that a search back through a file reads at once."""

_LAST_STREAM: Final = UUID(int=(1 << 128) - 1)

_SELECT_AT_POSITIONS: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.last_position > %s AND f.first_position <= %s ORDER BY f.first_position
"""
_SELECT_BACKWARD: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.last_position >= %s AND f.first_position <= %s ORDER BY f.last_position DESC
"""
_SELECT_LAST: LiteralString = f"""
    (SELECT {FILE_COLUMNS} FROM archived_files f WHERE f.first_position <= %s AND f.last_position > %s)
    UNION ALL
    (
        SELECT {FILE_COLUMNS} FROM archived_files f WHERE f.last_position <= %s AND f.last_position > %s
        ORDER BY f.last_position DESC LIMIT 1
    )
"""
_SELECT_BY_STREAM: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.last_stream >= %s AND f.first_stream <= %s ORDER BY f.first_stream
"""


def add_archived(
    connection: Connection[Any],
    files: ArchivedFiles,
    rows: Sequence[StoredRow],
    after: int,
    until: int,
    *,
    limit: int | None = None,
) -> Sequence[StoredRow]:
    """Add archived events to a page of the table, in order of position.

    Args:
        connection: Reads which files there are.
        files: Reads them.
        rows: The events of the table behind `after` and up to `until`, at most `limit`, by position.
        after: The position before the page.
        until: The last position allowed. Only events of its log are added: files of a slice that was moved
            here may have lower positions.
        limit: The most events; None for all.
    """
    after = max(after, begin_of_shard(until))
    end = rows[-1][0] if limit is not None and len(rows) >= limit else until
    found: Sequence[StoredRow] = rows
    for one in select_files(connection, _SELECT_AT_POSITIONS, after, end):
        if limit is not None and len(found) >= limit and one.first_position > found[limit - 1][0]:
            break
        more = files.open(connection, one).behind(after, end, limit)
        positions = {row[0] for row in found}
        found = sorted([*found, *(row for row in more if row[0] not in positions)], key=_get_position)[:limit]
    return found


def add_archived_before(
    connection: Connection[Any],
    files: ArchivedFiles,
    positions: Sequence[int],
    until: int,
    *,
    limit: int,
    topics: Collection[str],
    after: int = 0,
) -> Sequence[StoredRow]:
    """Return the archived events that belong on a page which goes backward, the last one first.

    Args:
        connection: Reads which files there are.
        files: Reads them.
        positions: Those of the events of the table on the page, the last one first.
        until: The last position allowed.
        limit: The most events of the page.
        topics: The kinds of events on it.
        after: The position behind which all of them lie.
    """
    lowest = positions[-1] if len(positions) >= limit else after + 1
    found: list[StoredRow] = []
    for one in select_files(connection, _SELECT_BACKWARD, lowest, until):
        if len(found) >= limit and one.last_position < found[limit - 1][0]:
            break
        table, end, count = files.open(connection, one), until, 0
        while end >= lowest and count < limit and (step := table.before(end, _STEP)):
            more = [row for row in step if row[3] in topics and row[0] >= lowest]
            count += len(more)
            found += more
            end = step[-1][0] - 1
        found = sorted(found, key=_get_position, reverse=True)[:limit]
    known = set(positions)
    return [row for row in found if row[0] not in known]


def find_last(connection: Connection[Any], files: ArchivedFiles, until: int) -> StoredRow | None:
    """Return the last archived event of a log, up to a position in it; None without one."""
    begin = begin_of_shard(until)
    found = [
        row
        for one in select_files(connection, _SELECT_LAST, until, until, until, begin)
        for row in files.open(connection, one).before(until, 1)
    ]
    return max(found, key=_get_position, default=None)


def add_archived_streams(
    connection: Connection[Any],
    files: ArchivedFiles,
    rows: Sequence[StoredRow],
    behind: tuple[UUID, int],
    *,
    limit: int,
    is_wanted: Callable[[StoredRow], bool],
) -> Sequence[StoredRow]:
    """Add archived events to a page of the table, in order of stream and version.

    Args:
        connection: Reads which files there are.
        files: Reads them.
        rows: The events of the table behind a place, at most `limit`.
        behind: The stream and the version before the page.
        limit: The most events.
        is_wanted: Returns False for events that do not belong on the page.
    """
    end = rows[-1][1] if len(rows) >= limit else _LAST_STREAM
    found: Sequence[StoredRow] = rows
    for one in select_files(connection, _SELECT_BY_STREAM, behind[0], end):
        if len(found) >= limit and one.first_stream > found[limit - 1][1]:
            break
        more: list[StoredRow] = []
        for page in files.open(connection, one).pages_between(behind[0], end, max(limit, _STEP)):
            more += [row for row in page if get_place(row) > behind and is_wanted(row)]
            if len(more) >= limit:
                break
        places = {get_place(row) for row in found}
        found = sorted([*found, *(row for row in more if get_place(row) not in places)], key=get_place)[
            :limit
        ]
    return found


_get_position = itemgetter(0)
