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
    INSERT INTO archive_leftovers (name, is_doomed) VALUES (%s, true)
    ON CONFLICT (name) DO UPDATE SET is_doomed = true
"""
"""Somebody else may have removed the name before the file was there."""

_DOOM_ALL: LiteralString = """
    UPDATE archive_leftovers SET is_doomed = true WHERE starts_with(name, %s) AND NOT is_doomed
"""
_DOOM_FREE: LiteralString = """
    UPDATE archive_leftovers SET is_doomed = true WHERE name IN (
        SELECT name FROM archive_leftovers WHERE starts_with(name, %s) AND NOT is_doomed
        FOR UPDATE SKIP LOCKED
    )
"""
_HAS_ANY: LiteralString = "SELECT FROM archive_leftovers WHERE starts_with(name, %s) LIMIT 1"
_IS_AWAITED: LiteralString = "SELECT FROM archive_leftovers WHERE name = %s AND NOT is_doomed"
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


def doom_leftover(connection: Connection[Any], name: str) -> None:
    """Note that a file that the caller has written is to be removed."""
    connection.execute(_DOOM, (name,))


def doom_leftovers(connection: Connection[Any], folder: str = "") -> None:
    """Note that every file that was being written, or was in this folder, is to be removed."""
    connection.execute(_DOOM_ALL, (folder,))


def doom_free_leftovers(connection: Connection[Any], folder: str) -> None:
    """Note the same, but for files that somebody is about to name: who does that removes them otherwise."""
    connection.execute(_DOOM_FREE, (folder,))


def has_leftovers(connection: Connection[Any], folder: str) -> bool:
    """Return True if a file in this folder is a leftover, doomed or not."""
    return connection.execute(_HAS_ANY, (folder,)).rowcount > 0


def is_awaited(connection: Connection[Any], name: str) -> bool:
    """Return True if the name is noted, and nobody has doomed the file that is about to be written."""
    return connection.execute(_IS_AWAITED, (name,)).rowcount > 0


def remove_doomed(connection: Connection[Any], place: ArchivePlace) -> None:
    """Remove the files that are to be removed.

    Raises:
        OSError: One of them cannot be removed.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    for (name,) in cursor.execute(_SELECT_DOOMED).fetchall():
        place.remove(name)
        connection.execute(_DELETE, (name,))
