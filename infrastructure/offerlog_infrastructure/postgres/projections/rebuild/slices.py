"""The load of slices of the streams into the staging schema, by several processes in parallel.

A slice is locked, loaded and marked as done in one transaction. If a process dies, another loads its slice.
"""

import gc
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import merge_streams
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.log.horizon import UP_TO, WITHIN
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.pages import (
    EVENT_COLUMNS,
    PositionedRow,
    cut_between_visitors,
    decode_whole_streams,
)
from offerlog_infrastructure.postgres.projections.apply_page import apply_page
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS, Projection

_PAGE: Final = 5_000

_SELECT_NEXT_SLICE: LiteralString = """
    SELECT number, low, high, goal, ends FROM slices, plan WHERE NOT done
    ORDER BY number LIMIT 1 FOR UPDATE OF slices SKIP LOCKED
"""
_SELECT_STREAMS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE originator_id BETWEEN %s AND %s AND {UP_TO}
    ORDER BY originator_id, originator_version
"""
_SELECT_STREAMS_WITHIN: LiteralString = _SELECT_STREAMS.replace(UP_TO, WITHIN)
_UPDATE_SLICE_DONE: LiteralString = "UPDATE slices SET done = true, events = %s WHERE number = %s"


def load_slices(connection: Connection[Any], projections: Sequence[Projection]) -> None:
    """Load slices until none is left; the connection uses the staging schema, in auto-commit mode."""
    mapper, files = EventMapper(), ArchivedFiles()
    while True:
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            row = cursor.execute(_SELECT_NEXT_SLICE).fetchone()
            if row is None:
                return
            number, low, high, goal, ends = row
            events = 0
            pages = _read_pages(connection, files, (low, high), goal, ends)
            for rows in cut_between_visitors(pages):
                page = decode_whole_streams(mapper, rows)
                for projection in projections:
                    apply_page(cursor, projection.name, projection.load, page)
                events += len(rows)
            cursor.execute(_UPDATE_SLICE_DONE, (events, number))


def _read_pages(
    connection: Connection[Any],
    files: ArchivedFiles,
    bounds: tuple[UUID, UUID],
    goal: int,
    ends: Sequence[int] | None,
) -> Iterator[Sequence[PositionedRow]]:
    """Yield the events of a slice, stream by stream, archived ones too."""
    with connection.cursor(name="slice", binary=True, row_factory=tuple_row) as cursor:
        if ends is None:
            cursor.execute(_SELECT_STREAMS, (*bounds, goal))
        else:
            cursor.execute(_SELECT_STREAMS_WITHIN, (*bounds, ends))
        pages = iter(lambda: cursor.fetchmany(_PAGE), [])
        yield from merge_streams(cursor, files, pages, *bounds, until=goal if ends is None else ends)


def main() -> None:
    """Run a worker process: connection string, live schema and projections come on standard input."""
    dsn, schema, purpose, *names = sys.stdin.readline().split("\t")
    gc.disable()  # events and rows make no cycles
    logging.disable()  # the process that started this one reports everything
    threading.Thread(target=_end_with_starter, daemon=True).start()
    wanted = {name.strip() for name in names}
    try:
        with open_unlimited(dsn, schema) as connection:
            StagingSchema(schema, purpose).enter(connection)
            # Rows lost by a crash of the server are loaded again; the swap's commit waits for the disk.
            connection.execute("SET synchronous_commit TO off")
            load_slices(connection, [projection for projection in PROJECTIONS if projection.name in wanted])
    except Exception as error:  # noqa: BLE001 - the process that started this one shows any error
        sys.exit(f"{type(error).__name__}: {error}")


def _end_with_starter() -> None:
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    main()
