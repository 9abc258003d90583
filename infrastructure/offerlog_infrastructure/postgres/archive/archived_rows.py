"""Archived events beside those of the table: of some streams, and of a range of streams.

A reader first reads the table, and then which files the store names: in the same snapshot, or in a later one.
What moves in between is then seen twice, and one of the two is left out. Read the other way round, it would
not be seen at all.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import shard_of_position
from offerlog_application.ports.slices import StoredRow
from offerlog_domain.stream_ids import stream_bounds
from offerlog_infrastructure.archive.event_files import EventTable
from offerlog_infrastructure.postgres.archive.archived_files import (
    FILE_COLUMNS,
    ArchivedFile,
    ArchivedFileGoneError,
    ArchivedFileMovedError,
    ArchivedFiles,
    to_files,
)
from offerlog_infrastructure.postgres.log.horizon import BEGIN, END

_PAGE: Final = 5_000

_SELECT_FILES_OF_STREAMS: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.number IN (SELECT file FROM settled WHERE originator_id BETWEEN %s AND %s)
"""
_SELECT_FILES_OF_EACH: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.number IN (SELECT file FROM settled WHERE originator_id = ANY(%s::uuid[]))
"""
_SELECT_FILES_OF_VISITORS: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.last_position > %s AND f.number IN (
        SELECT s.file FROM unnest(%s::uuid[], %s::uuid[]) AS wanted (low, high)
        JOIN settled s ON s.originator_id BETWEEN wanted.low AND wanted.high
    )
"""
_SELECT_FILES_IN_RANGE: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f
    WHERE f.last_stream >= %s AND f.first_stream <= %s ORDER BY f.first_stream
"""
_SELECT_CURRENT: LiteralString = f"SELECT {FILE_COLUMNS} FROM archived_files f WHERE f.number = %s"
OWN_FILES: LiteralString = f"first_position > {BEGIN} AND last_position <= {END}"
"""A condition on files: they have events that this store has recorded. Each file is of one log."""

_SELECT_END: LiteralString = f"SELECT coalesce(max(last_position), 0) FROM archived_files WHERE {OWN_FILES}"
_SELECT_BEGIN: LiteralString = f"SELECT {BEGIN}"

ARCHIVED: LiteralString = """
    unnest(
        %(archived_positions)s::bigint[], %(archived_streams)s::uuid[], %(archived_versions)s::int[],
        %(archived_topics)s::text[], %(archived_states)s::bytea[]
    ) AS archived (notification_id, originator_id, originator_version, topic, state)
"""
"""Archived events as a table of a statement, with the parameters of `to_parameters`."""


def to_parameters(rows: Sequence[StoredRow]) -> dict[str, list[Any]]:
    """Return the parameters of `ARCHIVED`."""
    names = ("positions", "streams", "versions", "topics", "states")
    columns = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
    return {f"archived_{name}": column for name, column in zip(names, columns, strict=True)}


def select_streams(
    connection: Connection[Any], files: ArchivedFiles, low: UUID, high: UUID
) -> list[StoredRow]:
    """Return the archived events of the streams from one id to another, by stream and version."""
    named = select_files(connection, _SELECT_FILES_OF_STREAMS, low, high)
    rows = [row for one in named for row in files.open(connection, one).between(low, high)]
    return sorted(rows, key=get_place) if len(named) > 1 else rows


def select_each(
    connection: Connection[Any], files: ArchivedFiles, streams: Sequence[UUID]
) -> list[StoredRow]:
    """Return the archived events of these streams, by stream and version."""
    named = select_files(connection, _SELECT_FILES_OF_EACH, list(streams)) if streams else []
    rows: list[StoredRow] = []
    for one in named:
        table = files.open(connection, one)
        rows += [row for stream in streams for row in table.between(stream, stream)]
    return sorted(rows, key=get_place)


def select_visitors(
    connection: Connection[Any], files: ArchivedFiles, tokens: Sequence[int], after: int
) -> list[StoredRow]:
    """Return the archived events of these visitors that are behind a position."""
    bounds = [stream_bounds(token) for token in tokens]
    asked = [low for low, _ in bounds], [high for _, high in bounds]
    rows: list[StoredRow] = []
    for one in select_files(connection, _SELECT_FILES_OF_VISITORS, after, *asked):
        table = files.open(connection, one)
        rows += [row for low, high in bounds for row in table.between(low, high) if row[0] > after]
    return rows


def select_end(connection: Connection[Any]) -> int:
    """Return the highest position of the own log in the archive; 0 if none of its events is there."""
    row = connection.cursor(row_factory=tuple_row).execute(_SELECT_END, prepare=True).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return int(row[0])


def merge_streams(
    cursor: Cursor[Any],
    files: ArchivedFiles,
    pages: Iterable[Sequence[StoredRow]],
    low: UUID,
    high: UUID,
    *,
    until: int | Sequence[int] | None = None,
) -> Iterator[Sequence[StoredRow]]:
    """Yield the events of the streams from one id to another, archived ones too, by stream and version.

    Args:
        cursor: Of the connection that reads the pages; it names the files behind the first page.
        files: Reads them.
        pages: The events of the table.
        low: The lowest id.
        high: The highest one.
        until: Archived events behind this position of the own log are left out; or those behind the end of
            their log, of which there is a list as `ends_of` has it. None for all.
    """
    hot = iter(pages)
    first = next(hot, ())
    connection = cursor.connection
    named = select_files(connection, _SELECT_FILES_IN_RANGE, low, high)
    if not named:
        if first:
            yield first
        yield from hot
        return
    table = chain(first, chain.from_iterable(hot))
    is_wanted = select_cut(connection, until)
    cold = (_read_lane(connection, files, lane, (low, high), is_wanted) for lane in _divide(named))
    page: list[StoredRow] = []
    last: tuple[UUID, int] | None = None
    for row in heapq.merge(table, *cold, key=get_place):
        place = get_place(row)
        if place == last:
            continue
        last = place
        page.append(row)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _divide(named: Sequence[ArchivedFile]) -> list[list[ArchivedFile]]:
    """Divide files in order of their first stream into lanes; in each, one ends before the next begins."""
    lanes: list[list[ArchivedFile]] = []
    for file in named:
        free = next((lane for lane in lanes if lane[-1].last_stream < file.first_stream), None)
        if free is None:
            lanes.append([file])
        else:
            free.append(file)
    return lanes


def _read_lane(
    connection: Connection[Any],
    files: ArchivedFiles,
    lane: Sequence[ArchivedFile],
    streams: tuple[UUID, UUID],
    is_wanted: Callable[[int], bool],
) -> Iterator[StoredRow]:
    """Yield the events of files one after the other; each is read when its turn comes."""
    for file in lane:
        for page in _open_current(connection, files, file).pages_between(*streams, _PAGE):
            yield from (row for row in page if is_wanted(row[0]))


def select_cut(connection: Connection[Any], until: int | Sequence[int] | None) -> Callable[[int], bool]:
    """Return a condition on the positions of whole streams, as `UP_TO` and `WITHIN` are in SQL.

    Args:
        connection: Reads which log is the own one.
        until: As of `merge_streams`.
    """
    if until is None:
        return lambda _: True
    if not isinstance(until, int):
        ends = until
        return lambda position: (
            shard_of_position(position) < len(ends) and (position <= ends[shard_of_position(position)])
        )
    last = until
    row = connection.cursor(row_factory=tuple_row).execute(_SELECT_BEGIN).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    own = shard_of_position(row[0])
    return lambda position: position <= last or shard_of_position(position) != own


def _open_current(connection: Connection[Any], files: ArchivedFiles, file: ArchivedFile) -> EventTable:
    """Open a file; the one that has replaced it, if it is gone."""
    try:
        return files.open(connection, file)
    except ArchivedFileGoneError:
        current = select_files(connection, _SELECT_CURRENT, file.number)
        if not current:
            raise ArchivedFileMovedError(file.name) from None
        if current[0].name == file.name:
            raise
        return files.open(connection, current[0])


def select_files(connection: Connection[Any], statement: LiteralString, *values: Any) -> list[ArchivedFile]:
    """Return the files that a statement selects by `FILE_COLUMNS`."""
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    return to_files(cursor.execute(statement, values, prepare=True).fetchall())


def get_place(row: StoredRow) -> tuple[UUID, int]:
    """Return the stream and the version of an event."""
    return row[1], row[2]
