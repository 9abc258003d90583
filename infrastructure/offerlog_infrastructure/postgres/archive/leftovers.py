"""Files in the place of the archive that no event needs: being written, or to be removed.

The name of a file stands here before the file is there, and until the store names the file or it is removed.
So nobody lists the place, where files of others may lie. A name is doomed before its file is removed, and
whoever would use a doomed file must begin anew.
"""

from typing import Any, LiteralString

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from offerlog_infrastructure.archive.places import ArchivePlace

_INSERT: LiteralString = "INSERT INTO archive_leftovers (name) VALUES (%s)"
_INSERT_DOOMED: LiteralString = "INSERT INTO archive_leftovers (name, is_doomed) VALUES (%s, true)"
_TAKE: LiteralString = "DELETE FROM archive_leftovers WHERE name = %s AND NOT is_doomed"
_DOOM: LiteralString = """
    UPDATE archive_leftovers SET is_doomed = true WHERE name = coalesce(%s, name) AND NOT is_doomed
"""
_SELECT_DOOMED: LiteralString = "SELECT name FROM archive_leftovers WHERE is_doomed ORDER BY name"
_DELETE: LiteralString = "DELETE FROM archive_leftovers WHERE name = %s"


def note_leftover(connection: Connection[Any], name: str) -> None:
    """Note the name of a file that is about to be written."""
    connection.execute(_INSERT, (name,))


def take_leftover(cursor: Cursor[Any], name: str) -> bool:
    """Note that the store names a file; returns False if the file is doomed."""
    return cursor.execute(_TAKE, (name,)).rowcount == 1


def doom_replaced(cursor: Cursor[Any], name: str) -> None:
    """Note that the file of this name is to be removed, in the transaction that replaces it."""
    cursor.execute(_INSERT_DOOMED, (name,))


def doom_leftovers(connection: Connection[Any], name: str | None = None) -> None:
    """Note that this file, or every file that was being written, is to be removed."""
    connection.execute(_DOOM, (name,))


def remove_doomed(connection: Connection[Any], place: ArchivePlace) -> None:
    """Remove the files that are to be removed.

    Raises:
        OSError: One of them cannot be removed.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    for (name,) in cursor.execute(_SELECT_DOOMED).fetchall():
        place.remove(name)
        connection.execute(_DELETE, (name,))
