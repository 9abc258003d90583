"""The files of a slice, on their way from the archive of the source to that of the target.

A mover has the locks of both archives. So no event moves between table and files meanwhile, and the source
keeps the files by their numbers. An erasure there replaces files by others with other names: these are
copied anew, before the slice is taken. Each copy is a leftover of the target until the take names it. So what
a killed mover has left is removed with its move, or by the next archiver or erasure there.

No file is read or written while a snapshot of the source is open, nor behind the fence, unless a visitor was
erased right before it.
"""

from collections.abc import Callable
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.shards import ShardError
from offerlog_infrastructure.archive.errors import ArchiveUnavailableError
from offerlog_infrastructure.archive.places import ArchivePlace, home_place_of, place_of_server
from offerlog_infrastructure.postgres.archive.archived_files import (
    folder_of,
    open_archive,
    parse_file,
    put_place,
    select_place,
)
from offerlog_infrastructure.postgres.archive.blanked_files import next_name
from offerlog_infrastructure.postgres.archive.leftovers import (
    doom_free_leftovers,
    doom_leftover,
    doom_replaced,
    note_leftover,
    remove_doomed,
    take_leftover,
)
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.shards.move_steps import Move, connected
from offerlog_infrastructure.postgres.shards.slice_range import SETTLED, SliceRange
from offerlog_infrastructure.postgres.shards.table_copy import copy_rows

_TRIES: Final = 100
"""Number of tries to read a file: an erasure may replace it each time."""

_SELECT_NAMES: LiteralString = "SELECT number, name FROM archived_files WHERE slice = %s ORDER BY number"
_KEPT: LiteralString = (
    "slice, edition, events, bytes, first_position, last_position, first_stream, last_stream, digest, sha256"
)
_SELECT_FILE: LiteralString = f"SELECT name, {_KEPT} FROM archived_files WHERE number = %s"
_INSERT_FILE: LiteralString = f"""
    INSERT INTO archived_files (name, {_KEPT}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    RETURNING number
"""
_REPLACE_FILE: LiteralString = """
    UPDATE archived_files SET name = %s, sha256 = %s, bytes = %s, edition = %s WHERE number = %s
"""
_DELETE_FILES: LiteralString = "DELETE FROM archived_files WHERE slice = %s RETURNING name"
_SUM_FILES: LiteralString = f"""
    SELECT count(*), coalesce(sum(hash_record_extended(t, 0)), 0) FROM (
        SELECT {_KEPT} FROM archived_files WHERE slice = {{slice}}
    ) AS t
"""
_SUM_SETTLED: LiteralString = """
    SELECT count(*), coalesce(sum(hash_record_extended(t, 0)), 0) FROM (
        SELECT s.originator_id, s.last_version, f.sha256
        FROM settled s JOIN archived_files f ON f.number = s.file WHERE {settled}
    ) AS t
"""
"""Each store numbers its files itself."""


class _Copied(NamedTuple):
    """A file that is copied.

    Attributes:
        name: Its name in the place of the source.
        copy: That of the copy.
        kept: The other columns, as the source has them.
    """

    name: str
    copy: str
    kept: tuple[Any, ...]

    @property
    def events(self) -> int:
        """The number of its events."""
        return int(self.kept[2])

    def replaced(self) -> tuple[Any, ...]:
        """Return what changes if a file is replaced: SHA-256, bytes, edition."""
        return self.kept[-1], self.kept[3], self.kept[1]


class SliceFiles:
    """Copies the files of a slice; for one mover, which holds the locks of both archives.

    Args:
        move: The move.
        home: The home.
        source: A connection to the source, in auto-commit mode.
        target: The target.
    """

    def __init__(
        self, move: Move, home: OfferlogApplication, source: Connection[Any], target: OfferlogApplication
    ) -> None:
        self._move = move
        self._home = home
        self._source = source
        self._target = target
        self._range = SliceRange(move.slice)
        self._from: ArchivePlace | None = None
        self._copies: dict[int, _Copied] = {}
        self._numbers: dict[int, int] = {}
        self._stored: dict[int, str] = {}
        self._taken: set[str] = set()

    @property
    def events(self) -> int:
        """The number of events in the files."""
        return sum(one.events for one in self._copies.values())

    def is_current(self) -> bool:
        """Return True if each file of the source is copied; `copy` was called before."""
        return not self._copies or not self._list_missing()

    def copy(self, on_events: Callable[[int], object]) -> None:
        """Copy each file that is not copied yet; calls back with the number of events so far.

        Raises:
            ShardError: Nobody knows where the archive of the target is to be.
            ArchiveUnavailableError: A file cannot be read or written.
            ExtraMissingError: pyarrow is not installed.
        """
        missing = self._list_missing()
        if not missing:
            return
        with connected(self._target) as beside:
            place = self._open_places(beside)
            for number in missing:
                self._copies[number] = self._copy(beside, place, number)
                on_events(self.events)

    def store(self, into: Cursor[Any]) -> None:
        """Name the copies on the target, in the transaction that has the slice; make copies that are missing.

        Args:
            into: Writes to the target.

        Raises:
            ArchiveUnavailableError: A file cannot be read or written.
        """
        if not self.is_current():  # a session that is silent inside a transaction is ended
            self.copy(lambda _: into.execute("SELECT"))
        for number, copied in self._copies.items():
            if self._stored.get(number) == copied.copy:
                continue
            if number in self._numbers:
                into.execute(_REPLACE_FILE, (copied.copy, *copied.replaced(), self._numbers[number]))
                doom_leftover(into.connection, self._stored[number])
            else:
                ((mine,),) = into.execute(_INSERT_FILE, (copied.copy, *copied.kept)).fetchall()
                self._numbers[number] = mine
            self._stored[number] = copied.copy

    def store_settled(self, into: Cursor[Any]) -> None:
        """Copy which streams are in the files; these are stored."""
        if not self._numbers:
            return
        pairs = ", ".join(f'"{number}": {mine}' for number, mine in self._numbers.items())
        select = sql.SQL(
            "COPY (SELECT originator_id, last_version, ({}::jsonb ->> file::text)::int FROM settled WHERE {})"
            " TO STDOUT (FORMAT BINARY)"
        ).format(sql.Literal(f"{{{pairs}}}"), self._range.rows_of(SETTLED))
        store = sql.SQL("COPY settled (originator_id, last_version, file) FROM STDIN (FORMAT BINARY)")
        copy_rows(self._source.cursor(), into, select, store)
        into.execute("ANALYZE settled, archived_files")

    def take(self, into: Cursor[Any]) -> None:
        """Let the target keep the copies, with the commit of the transaction.

        Raises:
            ShardError: The move was undone meanwhile, and a copy is removed.
        """
        for name in self._stored.values():
            if name not in self._taken and not take_leftover(into, name):
                raise ShardError("the move was undone meanwhile: its copies of files are removed")
            self._taken.add(name)

    def _list_missing(self) -> list[int]:
        """List the numbers of the files that are not copied, or were replaced since."""
        named = self._source.cursor(row_factory=tuple_row).execute(_SELECT_NAMES, (self._move.slice,))
        known = {number: one.name for number, one in self._copies.items()}
        return [number for number, name in named.fetchall() if known.get(number) != name]

    def _open_places(self, beside: Connection[Any]) -> ArchivePlace:
        """Open both places, and return that of the target, which gets one if it does not have any."""
        of_source = select_place(self._source) or ""
        self._from = open_archive(of_source)
        place = select_place(beside)
        if place is not None:
            return open_archive(place)
        with connected(self._home) as home:
            of_home = select_place(home) or home_place_of(of_source, self._move.source)
        place = place_of_server(of_home, self._move.target)
        if place is None:
            raise ShardError(
                f"shard {self._move.source} has its archive in {of_source}, and nothing says where that of"
                f" shard {self._move.target} is to be: run `offerlog archive --folder` once, which gives each"
                " server a place"
            )
        opened = open_archive(place)
        put_place(beside, place)
        return opened

    def _copy(self, beside: Connection[Any], place: ArchivePlace, number: int) -> _Copied:
        """Copy a file, and read the copy back."""
        assert self._from is not None  # noqa: S101 - the caller has opened it
        rows = self._source.cursor(row_factory=tuple_row)
        for left in reversed(range(_TRIES)):
            ((name, *kept),) = rows.execute(_SELECT_FILE, (number,)).fetchall()
            try:
                data = self._from.read(name)
            except FileNotFoundError as error:
                ((current, *_),) = rows.execute(_SELECT_FILE, (number,)).fetchall()
                if left and current != name:
                    continue  # an erasure has replaced it
                raise _unavailable(name, self._from, error) from error
            except OSError as error:
                raise _unavailable(name, self._from, error) from error
            break
        parse_file(data, self._from.address, name, kept[-1])
        copied = _Copied(name, next_name(name), tuple(kept))
        note_leftover(beside, copied.copy)
        try:
            place.write(copied.copy, data)
        except OSError as error:
            raise _unavailable(copied.copy, place, error, "written to") from error
        try:
            found = place.read(copied.copy)
        except OSError as error:
            raise _unavailable(copied.copy, place, error) from error
        if found != data:
            raise ArchiveUnavailableError(copied.copy, place.address, "its bytes are not those of the source")
        return copied


def sum_statements(slice_range: SliceRange) -> dict[str, sql.Composed]:
    """Return a statement for each table of the archive: number and digest of the rows of a slice."""
    return {
        "archived_files": sql.SQL(_SUM_FILES).format(slice=sql.Literal(slice_range.number)),
        "settled": sql.SQL(_SUM_SETTLED).format(settled=slice_range.rows_of(SETTLED)),
    }


def doom_files(cursor: Cursor[Any], slice_range: SliceRange) -> None:
    """Delete which files a slice has, in the transaction in which it leaves; the files are to be removed."""
    cursor.execute(sql.SQL("DELETE FROM settled WHERE {}").format(slice_range.rows_of(SETTLED)))
    for (name,) in cursor.execute(_DELETE_FILES, (slice_range.number,)).fetchall():
        doom_replaced(cursor, name)


def remove_copies(target: OfferlogApplication, number: int) -> None:
    """Remove the copies of files of a slice whose move is undone.

    Raises:
        ArchiveUnavailableError: A file cannot be removed now. The next archiver or erasure there removes it.
        StoreUnavailableError: The target cannot be reached.
    """
    with connected(target) as connection:
        doom_free_leftovers(connection, folder_of(number))
        _remove(connection)


def remove_files(store: OfferlogApplication, number: int) -> None:
    """Remove the files that a slice has left, before its move counts as ended.

    Raises:
        ShardError: A file cannot be removed now.
        StoreUnavailableError: The store cannot be reached.
    """
    with connected(store) as connection:
        try:
            _remove(connection)
        except ArchiveUnavailableError as error:
            raise ShardError(
                f"slice {number:x} is moved, and some files of it are left ({error}). Until they are removed,"
                " erasures of its visitors are not complete. A service goes on once it reaches that place; or"
                " run the same command again"
            ) from error


def _remove(connection: Connection[Any]) -> None:
    place = select_place(connection)
    if place is None:
        return
    opened = open_archive(place)
    try:
        remove_doomed(connection, opened)
    except OSError as error:
        raise _unavailable("a file", opened, error, "removed from") from error


def _unavailable(
    name: str, place: ArchivePlace, error: OSError, action: str = "read from"
) -> ArchiveUnavailableError:
    return ArchiveUnavailableError(name, place.address, error.strerror or str(error), action=action)
