"""The archived events of an erased visitor: a file with sealed parts of them is replaced by another one."""

from hashlib import sha256
from io import BytesIO
from secrets import token_hex
from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.erasure import BlankedEvents
from offerlog_application.ports.slices import StoredRow
from offerlog_domain.stream_ids import make_visitor_stream_id, slice_of, stream_bounds, token_of
from offerlog_infrastructure.archive.errors import ArchiveUnavailableError
from offerlog_infrastructure.archive.event_files import write_events
from offerlog_infrastructure.archive.places import ArchivePlace
from offerlog_infrastructure.postgres.archive.archived_files import (
    FILE_COLUMNS,
    ArchivedFile,
    ArchivedFileGoneError,
    ArchivedFileMovedError,
    ArchivedFiles,
    folder_of,
    open_archive,
    select_place,
)
from offerlog_infrastructure.postgres.archive.archived_rows import select_files
from offerlog_infrastructure.postgres.archive.leftovers import (
    doom_leftover,
    doom_leftovers,
    doom_replaced,
    has_leftovers,
    note_leftover,
    remove_doomed,
    take_leftover,
)
from offerlog_infrastructure.postgres.erasure.blanking import blank_state

_TRIES: Final = 100
"""Number of tries: another erasure may replace the same file each time."""

_SELECT_FILES: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.number IN (SELECT file FROM settled WHERE originator_id BETWEEN %s AND %s) ORDER BY f.number
"""
_SELECT_FILE: LiteralString = f"SELECT {FILE_COLUMNS} FROM archived_files f WHERE f.number = %s"
_REPLACE: LiteralString = """
    UPDATE archived_files SET name = %s, sha256 = %s, bytes = %s, edition = edition + 1
    WHERE number = %s AND name = %s
"""


def blank_archived(connection: Connection[Any], files: ArchivedFiles, token: int) -> BlankedEvents:
    """Blank all archived events of a visitor, and remove the files that had their sealed parts.

    No row of the visitor is left that an archiver could lock, so none moves events of the visitor meanwhile.
    But one that was killed may have left a file with them that the store does not name, and so may another
    erasure. Those of the slice go, too; who still writes one begins anew.

    Args:
        connection: In auto-commit mode.
        files: Reads the files.
        token: The visitor's token.

    Raises:
        ArchiveUnavailableError: A file cannot be read, written or removed.
        ExtraMissingError: pyarrow is not installed.
    """
    folder = folder_of(slice_of(make_visitor_stream_id(token)))
    named = select_files(connection, _SELECT_FILES, *stream_bounds(token))
    if not named and not has_leftovers(connection, folder):
        return BlankedEvents(0, 0)
    place = open_archive(select_place(connection) or "")
    total = BlankedEvents(0, 0)
    for file in named:
        blanked = _blank_file(connection, files, place, file, token)
        total = BlankedEvents(total.events + blanked.events, total.unreadable + blanked.unreadable)
    doom_leftovers(connection, folder)
    try:
        remove_doomed(connection, place)
    except OSError as error:
        raise ArchiveUnavailableError(
            "a replaced file", place.address, str(error), action="removed from"
        ) from error
    return total


def _blank_file(
    connection: Connection[Any], files: ArchivedFiles, place: ArchivePlace, file: ArchivedFile, token: int
) -> BlankedEvents:
    """Replace a file by one without the sealed parts of a visitor, unless it has none."""
    for left in reversed(range(_TRIES)):
        try:
            rows = files.open(connection, file).all()
        except ArchivedFileGoneError:
            if not left:
                raise
            file = _select_current(connection, file)
            continue
        blanked, count = _blank_rows(rows, token)
        if blanked == rows or _replace(connection, place, file, blanked):
            files.forget(file.name)
            return count
        file = _select_current(connection, file)
    raise ArchiveUnavailableError(file.name, place.address, "other erasures replaced it again and again")


def _select_current(connection: Connection[Any], file: ArchivedFile) -> ArchivedFile:
    """Select the file that has the number of another one by now.

    Raises:
        ArchivedFileMovedError: There is none.
    """
    current = select_files(connection, _SELECT_FILE, file.number)
    if not current:
        raise ArchivedFileMovedError(file.name)
    return current[0]


def _blank_rows(rows: list[StoredRow], token: int) -> tuple[list[StoredRow], BlankedEvents]:
    """Blank the events of a visitor; returns all events, and how many of them are the visitor's."""
    own = make_visitor_stream_id(token)
    changed: list[StoredRow] = []
    count = unreadable = 0
    for row in rows:
        if token_of(row[1]) != token or row[1] == own:
            changed.append(row)
            continue
        count += 1
        blanked = blank_state(row[4])
        unreadable += blanked is None
        changed.append(row if blanked is None else (*row[:4], blanked))
    return changed, BlankedEvents(count, unreadable)


def _replace(
    connection: Connection[Any], place: ArchivePlace, file: ArchivedFile, rows: list[StoredRow]
) -> bool:
    """Write the file that takes the place of another; returns False if that was replaced meanwhile."""
    buffer = BytesIO()
    write_events(buffer, [rows], {})
    data, name = buffer.getvalue(), next_name(file.name)
    note_leftover(connection, name)
    try:
        place.write(name, data)
    except OSError as error:
        cause = error.strerror or str(error)
        raise ArchiveUnavailableError(name, place.address, cause, action="written to") from error
    with connection.transaction() as transaction, connection.cursor(row_factory=tuple_row) as cursor:
        new = name, sha256(data).hexdigest(), len(data)
        is_current = cursor.execute(_REPLACE, (*new, file.number, file.name)).rowcount == 1
        if is_current and take_leftover(cursor, name):
            doom_replaced(cursor, file.name)
            return True
        transaction.force_rollback = True
    doom_leftover(connection, name)
    return False


def next_name(name: str) -> str:
    """Return a name for the file that takes the place of another: the same, with the next number, and chance.

    A restored backup names files that may have been replaced since, and finds the later ones by this.
    """
    stem, edition, *_ = name.split(".")
    return f"{stem}.{int(edition) + 1}.{token_hex(4)}.parquet"
