"""The archive of a restored store: a copy in a folder of its own, so that the former one stays as it is."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_infrastructure.archive.errors import ArchiveUnavailableError
from offerlog_infrastructure.archive.places import ArchiveFolder, ArchivePlace
from offerlog_infrastructure.postgres.archive.archived_files import open_archive, parse_file, select_place
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import server_reached

_SELECT_FILES: LiteralString = "SELECT number, name, sha256 FROM archived_files ORDER BY number"
_UPDATE_FILE: LiteralString = """
    UPDATE archived_files SET name = %s, sha256 = %s, bytes = %s, edition = edition + 1 WHERE number = %s
"""
_SELECT_IS_EMPTY: LiteralString = "SELECT to_regclass('archive_place') IS NULL"
_MOVE: LiteralString = "UPDATE archive_place SET place = %s"
_DELETE_LEFTOVERS: LiteralString = "DELETE FROM archive_leftovers"
_DELETE_PLACE: LiteralString = "DELETE FROM archive_place"


def copy_archive(
    dsn: str,
    schema: str,
    source: str | None,
    target: Path,
    on_file: Callable[[int, int], None],
    *,
    others: Sequence[str] = (),
) -> int:
    """Copy the files that a restored store names into a folder, which becomes the place of its archive.

    A file that an erasure has replaced since the backup is taken as it is now, without the sealed parts of
    that visitor. Whoever restores erases that visitor again. A file that went with its slice to another
    server is taken from there.

    Args:
        dsn: The connection string.
        schema: The schema of the store.
        source: The place of the archive; None for the one that the store names.
        target: The folder.
        on_file: Called with the number of files so far, and of all.
        others: The places of the archives of the other servers.

    Returns:
        The number of files that were replaced since.

    Raises:
        ArchiveUnavailableError: A file is missing, or is not the one that was written.
        StoreUnavailableError: The store cannot be reached.
        OSError: A file cannot be written.
    """
    connection: Connection[Any]
    with server_reached(), open_unlimited(dsn, schema) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        own, copy = open_archive(source or select_place(connection) or ""), ArchiveFolder(target)
        places = [own, *map(open_archive, others)]
        named, replaced = cursor.execute(_SELECT_FILES).fetchall(), 0
        for done, (number, name, digest) in enumerate(named):
            on_file(done, len(named))
            place, present = _find_present(places, name)
            data = _read(place, present, digest if present == name else None)
            copy.write(present, data)
            if present != name:
                replaced += 1
                cursor.execute(_UPDATE_FILE, (present, sha256(data).hexdigest(), len(data), number))
        cursor.execute(_MOVE, (copy.address,))
        cursor.execute(_DELETE_LEFTOVERS)
        on_file(len(named), len(named))
    return replaced


def forget_archive(dsn: str, schema: str) -> None:
    """Let a restored store that names no file of an archive forget its place: the former store's is there.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    connection: Connection[Any]
    with server_reached(), open_unlimited(dsn, schema) as connection, connection.transaction():
        connection.execute(_DELETE_LEFTOVERS)
        connection.execute(_DELETE_PLACE)


def is_archive_at(dsn: str, schema: str, folder: Path) -> bool:
    """Return True if a folder is the place of the archive of a store. Nothing is of an empty database.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    connection: Connection[Any]
    with server_reached(), open_unlimited(dsn, schema) as connection:
        if connection.cursor(row_factory=tuple_row).execute(_SELECT_IS_EMPTY).fetchone() == (True,):
            return False
        return select_place(connection) == ArchiveFolder(folder).address


def _find_present(places: Sequence[ArchivePlace], name: str) -> tuple[ArchivePlace, str]:
    """Return the place and the name of a file, or of the one that is there instead of it by now.

    The first place that has one counts. Names are those of `next_name`.
    """
    stem = name.partition(".")[0]
    for place in places:
        try:
            names = place.names(f"{stem}.")
        except OSError as error:
            raise ArchiveUnavailableError(name, place.address, str(error)) from error
        if name in names:
            return place, name
        if names:
            return place, max(names, key=lambda one: int(one.split(".")[1]))
    return places[0], name


def _read(place: ArchivePlace, name: str, digest: str | None) -> bytes:
    """Read a file, which must have a digest if one is given."""
    try:
        data = place.read(name)
    except OSError as error:
        raise ArchiveUnavailableError(name, place.address, error.strerror or str(error)) from error
    parse_file(data, place.address, name, digest or sha256(data).hexdigest())
    return data
