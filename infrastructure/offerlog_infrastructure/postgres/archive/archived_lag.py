"""The archived events that a follower of the log lacks: one that is behind the oldest event of the table."""

from typing import Any, LiteralString, NamedTuple

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.slices import StoredRow
from offerlog_application.reading.arrow import ExtraMissingError
from offerlog_infrastructure.archive.errors import ArchiveUnavailableError
from offerlog_infrastructure.postgres.archive.archived_files import FILE_COLUMNS, ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import OWN_FILES, select_end, select_files

_COUNT_BEHIND: LiteralString = f"""
    SELECT coalesce(sum(events), 0)::bigint FROM archived_files WHERE first_position > %s AND {OWN_FILES}
"""
_SELECT_FIRST: LiteralString = f"""
    (
        SELECT {FILE_COLUMNS} FROM archived_files f
        WHERE f.first_position <= %s AND f.last_position > %s AND {OWN_FILES}
    )
    UNION ALL
    (
        SELECT {FILE_COLUMNS} FROM archived_files f WHERE f.first_position > %s AND {OWN_FILES}
        ORDER BY f.first_position LIMIT 1
    )
"""


class ArchivedBehind(NamedTuple):
    """The archived events behind a position.

    Attributes:
        events: Their number.
        first: The first of them; None without any.
        is_readable: False if a file cannot be read here. All its events count then: whoever watches a store
            need not have its archive.
    """

    events: int = 0
    first: StoredRow | None = None
    is_readable: bool = True


class ArchivedLag:
    """The archived events of the own log behind positions, at one moment.

    Args:
        connection: Reads which files there are.
        files: Reads them.
    """

    def __init__(self, connection: Connection[Any], files: ArchivedFiles) -> None:
        self._connection = connection
        self._files = files
        self._end: int | None = None

    def behind(self, position: int) -> ArchivedBehind:
        """Return the archived events of the own log behind a position."""
        if self._end is None:
            self._end = select_end(self._connection)
        if position >= self._end:
            return ArchivedBehind()
        cursor = self._connection.cursor(row_factory=tuple_row)
        ((count,),) = cursor.execute(_COUNT_BEHIND, (position,)).fetchall()
        found: list[StoredRow] = []
        is_unreadable = False
        for file in select_files(self._connection, _SELECT_FIRST, position, position, position):
            try:
                rows = self._files.open(self._connection, file).behind(position, file.last_position)
            except (ArchiveUnavailableError, ExtraMissingError):
                is_unreadable = True
                count += file.events if file.first_position <= position else 0
                continue
            found += rows[:1]
            count += len(rows) if file.first_position <= position else 0
        return ArchivedBehind(count, min(found, default=None), not is_unreadable)
