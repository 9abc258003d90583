"""The move of cold streams into the archive, in the steps of docs/decisions/0066.

Killed between two steps, it leaves files that the store does not name, or everything done. So there is
nothing to undo: the next run removes these files, and goes on.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any, Final, LiteralString
from uuid import UUID, uuid4

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.archive import ArchivedPart, ArchiveFigures
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_domain.stream_ids import SLICES, slice_of, token_of
from offerlog_infrastructure.archive.errors import (
    ArchiveElsewhereError,
    ArchiveUnavailableError,
    ArchiveWriteError,
)
from offerlog_infrastructure.archive.event_files import write_events
from offerlog_infrastructure.archive.places import ArchivePlace, is_url
from offerlog_infrastructure.postgres.archive.archive_lock import hold_archive_lock
from offerlog_infrastructure.postgres.archive.archived_files import (
    folder_of,
    open_archive,
    parse_file,
    put_place,
    select_place,
)
from offerlog_infrastructure.postgres.archive.cold_streams import (
    ColdStream,
    choose_streams,
    count_candidates,
    select_cold_ends,
)
from offerlog_infrastructure.postgres.archive.leftovers import (
    doom_leftover,
    doom_leftovers,
    is_awaited,
    note_leftover,
    remove_doomed,
    take_leftover,
)
from offerlog_infrastructure.postgres.archive.new_files import NewFile, divide_by_log, name_files
from offerlog_infrastructure.postgres.archive.shrinking import select_figures, shrink_slices
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import raise_epoch
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS, PositionedRow
from offerlog_infrastructure.postgres.projections.replays import PostgresReplays

_TRIES: Final = 5
"""Number of tries to move a batch of streams; a try fails if one of the visitors is erased meanwhile."""

_SET_LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '5s'"

_IS_EMPTY: LiteralString = """
    SELECT NOT EXISTS (SELECT FROM archived_files) AND NOT EXISTS (SELECT FROM archive_leftovers)
"""
_SELECT_EVENTS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE originator_id = ANY(%s::uuid[]) AND originator_id BETWEEN %s AND %s
    ORDER BY originator_id, originator_version
"""
_LOCK_VISITORS: LiteralString = """
    SELECT token FROM visitors WHERE token = ANY(%s::bigint[]) ORDER BY token FOR SHARE
"""
"""An erasure locks the row as well, so of the two one sees the other."""

_LOCK_SLICE: LiteralString = "SELECT FROM slices WHERE slice = %s AND is_owned FOR SHARE"
_DELETE_EVENTS: LiteralString = """
    DELETE FROM offerlog_events AS e
    USING unnest(%s::uuid[], %s::int[], %s::bigint[]) AS moved (id, version, position)
    WHERE e.originator_id = moved.id AND e.originator_version = moved.version
      AND e.notification_id = moved.position AND e.originator_id BETWEEN %s AND %s
"""


class PostgresArchiver:
    """The application's `Archiver`.

    A method has the errors of the method of `Archiver`.

    Args:
        application: The log.
        clock: The service's clock.
    """

    def __init__(self, application: OfferlogApplication, clock: Clock) -> None:
        self._application = application
        self._clock = clock

    def figures(self) -> ArchiveFigures:
        """Return the figures of the archive."""
        datastore = self._application.reading
        with store_reached(datastore), datastore.get_connection() as connection:
            return select_figures(connection)

    def shrink(self, on_progress: Callable[[RebuildProgress], None]) -> Sequence[int]:
        """Rewrite the parts of the table from which events were moved."""
        with store_reached(self._application.log.datastore), self._application.connect() as connection:
            return shrink_slices(connection, on_progress)

    def move(
        self, older_than: timedelta, place: str | None, on_progress: Callable[[RebuildProgress], None]
    ) -> ArchivedPart:
        """Move the streams that are cold for a time."""
        ends = PostgresReplays(self._application).ends_at(self._clock.now() - older_than)
        return self.move_up_to(ends, place, on_progress)

    def move_up_to(
        self, up_to: LogPosition, place: str | None, on_progress: Callable[[RebuildProgress], None]
    ) -> ArchivedPart:
        """Move the cold streams of which no event is behind a position, in its log; see `move`."""
        with (
            store_reached(self._application.log.datastore),
            self._application.connect() as connection,
            hold_archive_lock(connection),
        ):
            opened = _set_place(connection, place)
            doom_leftovers(connection)
            _remove_doomed(connection, opened)
            ends = select_cold_ends(connection, up_to)
            part, looked_at = ArchivedPart(ends.own), 0
            total = count_candidates(connection)
            for number in range(SLICES):
                after = UUID(int=number << 124)
                tries = _TRIES
                while streams := choose_streams(connection, number, after, ends.of_logs):
                    moved = self._move_batch(connection, opened, streams)
                    if moved is None and (tries := tries - 1):
                        continue  # a visitor was erased meanwhile, and is not chosen any more
                    tries = _TRIES
                    after = streams[-1].id
                    looked_at += len(streams)
                    part = part if moved is None else part + moved
                    on_progress(RebuildProgress("archiving", min(looked_at, total), total))
            on_progress(RebuildProgress("archiving", total, total))
            return part

    def _move_batch(
        self, connection: Connection[Any], place: ArchivePlace, streams: Sequence[ColdStream]
    ) -> ArchivedPart | None:
        """Move some streams of a slice into a file for each log; None if a visitor was erased meanwhile."""
        rows = self.read(connection, streams)
        files = self.write_all(connection, place, rows)
        if files is not None:
            self.raise_epoch(connection)
        if files is None or not self.replace_rows(connection, files, streams, rows):
            _remove_doomed(connection, place)
            return None
        return ArchivedPart(0, len(streams), len(rows), len(files), sum(len(one.data) for one in files))

    def read(self, connection: Connection[Any], streams: Sequence[ColdStream]) -> list[PositionedRow]:
        """Read the events of some streams that are in the table (step 1)."""
        ids = [one.id for one in streams]
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        rows = cursor.execute(_SELECT_EVENTS, (ids, ids[0], ids[-1])).fetchall()
        last = {one.id: one.last_version for one in streams}
        return [row for row in rows if row[2] <= last[row[1]]]

    def write_all(
        self, connection: Connection[Any], place: ArchivePlace, rows: Sequence[PositionedRow]
    ) -> Sequence[NewFile] | None:
        """Write a file for each log; None if an erasure has removed one of them meanwhile."""
        files: list[NewFile] = []
        for of_log, parts in divide_by_log(rows):
            name = f"{folder_of(slice_of(rows[0][1]))}{uuid4().hex}.1.parquet"
            data = self.write(connection, place, name, of_log)
            if data is None:
                _doom(connection, files)
                return None
            files.append(NewFile(name, data, of_log, parts))
        return files

    def write(
        self, connection: Connection[Any], place: ArchivePlace, name: str, rows: Sequence[PositionedRow]
    ) -> bytes | None:
        """Write a file and read it back (step 2).

        Returns:
            Its bytes; None if an erasure of a visitor of the slice has removed it meanwhile.
        """
        file = BytesIO()
        write_events(file, [rows], {})
        data = file.getvalue()
        note_leftover(connection, name)
        try:
            place.write(name, data)
        except OSError as error:
            if not is_url(place.address):  # of an object, nobody knows whether it is written after all
                doom_leftover(connection, name)
                with suppress(OSError):
                    remove_doomed(connection, place)
            raise _not_written(place, error) from error
        try:
            found = place.read(name)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not is_awaited(connection, name):
                doom_leftover(connection, name)
                return None
            raise ArchiveUnavailableError(name, place.address, error.strerror or str(error)) from error
        if parse_file(found, place.address, name, sha256(data).hexdigest()).all() != list(rows):
            raise ArchiveUnavailableError(name, place.address, "its events are not those that were written")
        return data

    def raise_epoch(self, connection: Connection[Any]) -> None:
        """Raise the epoch (step 3): a cache from before may end before an archived version."""
        raise_epoch(connection)

    def replace_rows(
        self,
        connection: Connection[Any],
        files: Sequence[NewFile],
        streams: Sequence[ColdStream],
        rows: Sequence[PositionedRow],
    ) -> bool:
        """Delete the rows that the files have, and name the files, in one transaction (step 4).

        Returns:
            False if nothing was moved: a visitor was erased, or the slice is not this store's any more.
        """
        with connection.transaction() as transaction, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_SET_LOCK_TIMEOUT)
            if _lock(cursor, streams) and _delete(cursor, rows) and _take(cursor, files):
                name_files(cursor, files)
                return True
            transaction.force_rollback = True
        _doom(connection, files)
        return False


def _take(cursor: Cursor[Any], files: Sequence[NewFile]) -> bool:
    """Note that the store names these files; returns False if one of them is doomed."""
    return all(take_leftover(cursor, one.name) for one in files)


def _doom(connection: Connection[Any], files: Sequence[NewFile]) -> None:
    for one in files:
        doom_leftover(connection, one.name)


def _remove_doomed(connection: Connection[Any], place: ArchivePlace) -> None:
    try:
        remove_doomed(connection, place)
    except OSError as error:
        raise ArchiveUnavailableError(
            "an unfinished file", place.address, str(error), action="removed from"
        ) from error


def _set_place(connection: Connection[Any], place: str | None) -> ArchivePlace:
    """Open the place of the archive; the one that is named becomes it, as long as no file is in another.

    Raises:
        ArchiveElsewhereError: Files are in another one, or none is named so far.
        ArchiveWriteError: Nothing can be written there; it does not become the place.
    """
    known = select_place(connection)
    if place is None:
        place = known
    if place is None:
        raise ArchiveElsewhereError(None, None)
    if known not in {None, place} and not _is_empty(connection):
        raise ArchiveElsewhereError(known, place)
    opened = open_archive(place)  # a place that cannot be opened does not become it
    if place != known:
        _try(opened)
        put_place(connection, place)
    return opened


def _try(place: ArchivePlace) -> None:
    """Write a file to a new place, read it and remove it.

    Raises:
        ArchiveWriteError: That fails.
    """
    name = f"trial-{uuid4().hex}"
    try:
        place.write(name, b"offerlog")
        place.read(name)
        place.remove(name)
    except OSError as error:
        raise _not_written(place, error) from error


def _not_written(place: ArchivePlace, error: OSError) -> ArchiveWriteError:
    return ArchiveWriteError(place.address, error.strerror or str(error))


def _is_empty(connection: Connection[Any]) -> bool:
    """Return True if nothing was archived so far: no file is in the place, and none is left to remove."""
    return connection.cursor(row_factory=tuple_row).execute(_IS_EMPTY).fetchone() == (True,)


def _lock(cursor: Cursor[Any], streams: Sequence[ColdStream]) -> bool:
    """Lock the slice and all visitors; returns False if one of them is gone."""
    tokens = sorted({token_of(one.id) for one in streams})
    if cursor.execute(_LOCK_SLICE, (slice_of(streams[0].id),)).fetchone() is None:
        return False
    return len(cursor.execute(_LOCK_VISITORS, (tokens,)).fetchall()) == len(tokens)


def _delete(cursor: Cursor[Any], rows: Sequence[PositionedRow]) -> bool:
    """Delete rows; returns False if one of them is not there."""
    moved = [row[1] for row in rows], [row[2] for row in rows], [row[0] for row in rows]
    return cursor.execute(_DELETE_EVENTS, (*moved, rows[0][1], rows[-1][1])).rowcount == len(rows)
