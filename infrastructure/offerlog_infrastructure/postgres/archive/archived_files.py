"""The files of the archive, as the store names them, and their contents."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import wraps
from hashlib import sha256
from typing import Any, Concatenate, Final, LiteralString, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.archive.errors import ArchiveUnavailableError
from offerlog_infrastructure.archive.event_files import EventTable
from offerlog_infrastructure.archive.places import ArchivePlace, open_place

_CACHE_BYTES: Final = 256 << 20
"""The most bytes of files that a process keeps in memory, and the file that it reads."""

_TRIES: Final = 3
"""Number of tries of a read that meets a file which was just replaced."""

FILE_COLUMNS: LiteralString = (
    "f.number, f.name, f.sha256, f.events, f.first_position, f.last_position, f.first_stream, f.last_stream"
)
_SELECT_PLACE: LiteralString = "SELECT place FROM archive_place"
_PUT_PLACE: LiteralString = """
    INSERT INTO archive_place (place) VALUES (%s) ON CONFLICT (only_row) DO UPDATE SET place = excluded.place
"""
_ALLOW_IDLE: LiteralString = """
    SELECT set_config(name, '60s', true) FROM pg_settings
    WHERE name = 'idle_in_transaction_session_timeout' AND setting::integer BETWEEN 1 AND 59999
"""
"""The transaction of a read waits for the file, which may be far away, or the first of the process."""

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


class ArchivedFile(NamedTuple):
    """A file of the archive, in the order of `FILE_COLUMNS`.

    Attributes:
        number: Its number, which stays when the file is replaced.
        name: Its name.
        sha256: SHA-256 of its bytes, in hexadecimal digits.
        events: The number of events in it.
        first_position: The lowest position.
        last_position: The highest one.
        first_stream: The lowest id of a stream.
        last_stream: The highest one.
    """

    number: int
    name: str
    sha256: str
    events: int
    first_position: int
    last_position: int
    first_stream: UUID
    last_stream: UUID


class ArchivedFileGoneError(ArchiveUnavailableError):
    """A file is not in its place: it is lost, or an erasure has replaced it since its name was read."""


class ArchivedFileMovedError(ArchivedFileGoneError):
    """A file went with its slice to another server while its events were read."""

    def __init__(self, name: str) -> None:
        OfferlogError.__init__(
            self,
            f"the archived events in {name} have moved to another server with their slice, while they were"
            " read here: do it again",
        )
        self.name = name


class ArchivedFiles:
    """Reads the files of the archive, and keeps some of them in memory; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, EventTable] = OrderedDict()

    def open(self, connection: Connection[Any], file: ArchivedFile) -> EventTable:
        """Return the events of a file, which must have the bytes that were written.

        Args:
            connection: Reads the place of the archive, if the file is not in memory.
            file: The file.

        Raises:
            ArchivedFileGoneError: It is not there.
            ArchiveUnavailableError: It cannot be read, or was changed.
            ExtraMissingError: pyarrow is not installed.
        """
        with self._lock:
            found = self._tables.get(file.name)
            if found is not None:
                self._tables.move_to_end(file.name)
                return found
        place = select_place(connection) or ""
        connection.execute(_ALLOW_IDLE)
        table = _read(place, file)
        with self._lock:
            self._tables[file.name] = table
            while len(self._tables) > 1 and sum(one.size for one in self._tables.values()) > _CACHE_BYTES:
                self._tables.popitem(last=False)
        return table

    def forget(self, name: str) -> None:
        """Forget a file that was replaced."""
        with self._lock:
            self._tables.pop(name, None)


def folder_of(number: int) -> str:
    """Return the folder of a slice's files, as their names begin."""
    return f"slice={number:02}/"


def select_place(connection: Connection[Any]) -> str | None:
    """Return the place of the archive; None without one."""
    row = connection.cursor(row_factory=tuple_row).execute(_SELECT_PLACE).fetchone()
    return None if row is None else str(row[0])


def put_place(connection: Connection[Any], place: str) -> None:
    """Make a place that of the archive. So there is a new epoch, and writers look for archived events."""
    connection.execute(_PUT_PLACE, (place,))


def open_archive(address: str) -> ArchivePlace:
    """Return the place of an archive.

    Raises:
        ArchiveUnavailableError: It cannot be opened.
        ExtraMissingError: fsspec is not installed.
    """
    try:
        return open_place(address)
    except OSError as error:
        raise ArchiveUnavailableError("the archive", address, error.strerror or str(error)) from error


def _read(place: str, file: ArchivedFile) -> EventTable:
    try:
        data = open_archive(place).read(file.name)
    except FileNotFoundError:
        raise ArchivedFileGoneError(file.name, place, "there is no such file") from None
    except OSError as error:
        raise ArchiveUnavailableError(file.name, place, error.strerror or str(error)) from error
    return parse_file(data, place, file.name, file.sha256)


def parse_file(data: bytes, place: str, name: str, digest: str) -> EventTable:
    """Return the events in the bytes of a file.

    Raises:
        ArchiveUnavailableError: They are not the bytes that were written.
    """
    if sha256(data).hexdigest() != digest:
        raise ArchiveUnavailableError(name, place, "its bytes are not those that were written")
    try:
        return EventTable(data)
    except ValueError as error:
        raise ArchiveUnavailableError(name, place, str(error)) from error


def again_if_replaced(
    read: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[S, P], T]:
    """Repeat a read in a new snapshot if a file is gone: an erasure replaces files under other names."""

    @wraps(read)
    def read_again(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_TRIES - 1):
            try:
                return read(self, *args, **kwargs)
            except ArchivedFileGoneError:
                continue
        return read(self, *args, **kwargs)

    return read_again


def to_files(rows: Sequence[Sequence[Any]]) -> list[ArchivedFile]:
    """Return the files of rows with the columns `FILE_COLUMNS`."""
    return [ArchivedFile(*row) for row in rows]
