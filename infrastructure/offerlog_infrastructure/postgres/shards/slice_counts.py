"""The fold of the events of a slice, with its counts apart from those of all other slices.

Tables of counts have no slice. So temporary tables of the same names stand before them on the connection of
the move: the projections write into these without knowing. Afterwards the target adds what they hold to the
tables that are read, and the source subtracts it (see `taken_counts`).

Most events are loaded as a rebuild loads them, and the few that come later are merged as a projector does it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.shards import ShardError
from offerlog_application.projections.proof import prove
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import get_place, merge_streams, select_each
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.pages import (
    EVENT_COLUMNS,
    DecodedPage,
    PositionedRow,
    cut_between_visitors,
    decode_whole_streams,
)
from offerlog_infrastructure.postgres.projections.apply_page import apply_page
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS, create_merge_tables
from offerlog_infrastructure.postgres.projections.tables.table import names_of
from offerlog_infrastructure.postgres.shards.slice_range import DEAD_LETTERS, PROJECTED, SliceRange
from offerlog_infrastructure.postgres.shards.taken_counts import (
    DEAD,
    KEYS,
    PROOFS,
    SliceCounts,
    TakenSlice,
    merge_of,
    select_counts,
    store_counts,
)

_PAGE: Final = 2_000
_STREAMS_AT_ONCE: Final = 500

_NEWEST: Final = "action_map_names"
"""Here the newest row wins. The source keeps its own: a name is right wherever its event lies."""

_LOADED: Final = "loaded_"
_BOOKS: Final = (PROOFS, DEAD)
_EMPTY_STAGES: Final = sql.SQL("TRUNCATE {}").format(
    sql.SQL(", ").join(
        sql.Identifier("pg_temp", merge.stage) for projection in PROJECTIONS for merge in projection.merges
    )
)

_SELECT_SLICE: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events WHERE originator_id BETWEEN %s AND %s
    ORDER BY originator_id, originator_version
"""
_SELECT_STREAMS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events WHERE originator_id = ANY(%s)
    ORDER BY originator_id, originator_version
"""
_COUNT_EVENTS: LiteralString = """
    SELECT view, sum(events)::bigint FROM (
        SELECT view, events FROM {proofs} UNION ALL SELECT view, waiting FROM {dead}
    ) AS counted GROUP BY 1
"""
_ADD_PROOFS: LiteralString = """
    INSERT INTO {} AS p (view, slice, events, digest) SELECT view, slice, events, digest FROM {}
    ON CONFLICT (view, slice) DO UPDATE SET
        events = p.events + excluded.events, digest = p.digest + excluded.digest
"""


class FoldedSlice:
    """The counts of a slice, on a connection in a transaction.

    Args:
        connection: In a transaction, with the tables of a store.
        schema: The schema of those tables.
        slice_range: The slice.
    """

    def __init__(self, connection: Connection[Any], schema: str, slice_range: SliceRange) -> None:
        self._files = ArchivedFiles()
        self._connection = connection
        self._cursor = connection.cursor(binary=True, row_factory=tuple_row)
        self._schema = schema
        self._range = slice_range
        self._mapper = EventMapper()
        self._prefixes: dict[str, list[str]] = {one: [""] for one in (*KEYS, _NEWEST, *_BOOKS)}

    def begin(self, *, aside: bool = False) -> None:
        """Put empty temporary tables before those of the counts.

        Args:
            aside: True to put some before all tables of the projections, so that nothing is written there.
        """
        create_merge_tables(self._connection, kept=not aside)
        others = [one.name for one in PROJECTED] if aside else []
        for table in (*_BOOKS, *others):
            self._create(table)
        for table in (*KEYS, _NEWEST):
            self._create(table, "INCLUDING ALL EXCLUDING INDEXES")  # what is loaded is added up afterwards

    def fold_all(self, on_events: Callable[[int], None]) -> None:
        """Fold all events of the slice, once; calls back with the number of events so far."""
        events = 0
        with self._connection.cursor(name="slice", binary=True, row_factory=tuple_row) as cursor:
            cursor.execute(_SELECT_SLICE, self._range.streams)
            hot = iter(lambda: cursor.fetchmany(_PAGE), [])
            pages = merge_streams(cursor, self._files, hot, *self._range.streams)
            for rows in cut_between_visitors(pages):
                page = decode_whole_streams(self._mapper, rows)
                for projection in PROJECTIONS:
                    apply_page(self._cursor, projection.name, projection.load, page)
                events += len(rows)
                on_events(events)
        for projection in PROJECTIONS:
            if projection.finish:
                self._connection.execute(projection.finish)
        for table in (*KEYS, _NEWEST):
            self._rename(table, _LOADED)
            self._create(table)
            self._cursor.execute(
                sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}").format(
                    sql.Identifier("pg_temp", table),
                    sql.Identifier("pg_temp", f"{_LOADED}{table}"),
                    columns=_columns(table),
                )
            )
            self._cursor.execute(
                sql.SQL("DROP TABLE {}").format(sql.Identifier("pg_temp", f"{_LOADED}{table}"))
            )

    def _create(self, table: str, like: LiteralString = "INCLUDING ALL") -> None:
        self._cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {} {})").format(
                sql.Identifier(table), sql.Identifier(self._schema, table), sql.SQL(like)
            )
        )

    def _rename(self, table: str, prefix: str) -> None:
        self._cursor.execute(
            sql.SQL("ALTER TABLE {} RENAME TO {}").format(
                sql.Identifier("pg_temp", table), sql.Identifier(f"{prefix}{table}")
            )
        )

    def fold_newer(self, newer: Mapping[UUID, int]) -> None:
        """Fold further events of some streams.

        Args:
            newer: The first version of each stream that is not folded yet.
        """
        streams = sorted(newer)
        for start in range(0, len(streams), _STREAMS_AT_ONCE):
            some = streams[start : start + _STREAMS_AT_ONCE]
            rows: list[PositionedRow] = self._cursor.execute(_SELECT_STREAMS, (some,)).fetchall()
            if archived := select_each(self._connection, self._files, some):
                rows = sorted([*archived, *rows], key=get_place)
            page = decode_whole_streams(self._mapper, rows)
            versions = {(row[0], row[1]): row[2] for row in rows}
            kept = [row for row in rows if row[2] >= newer[row[1]]]
            self._apply(
                replace(
                    page,
                    rows=kept,
                    events=[
                        one
                        for one in page.events
                        if one.recorded.originator_version >= newer[one.recorded.originator_id]
                    ],
                    unreadable=[
                        one
                        for one in page.unreadable
                        if versions[one.position, one.stream] >= newer[one.stream]
                    ],
                    proof=prove((row[0], row[1]) for row in kept),
                )
            )

    def _apply(self, page: DecodedPage) -> None:
        for projection in PROJECTIONS:
            apply_page(self._cursor, projection.name, projection.apply, page)
        # Rows that were deleted in a transaction that is still open are read past again and again.
        self._cursor.execute(_EMPTY_STAGES)

    def check_events(self, events: int, before: Mapping[str, int] | None = None) -> None:
        """Check a number of events against the proofs: each was folded once, or waits in a dead letter.

        Args:
            events: The number of events.
            before: The number of events of each projection that do not count.

        Raises:
            ShardError: They differ.
        """
        folded = {name: count - (before or {}).get(name, 0) for name, count in self._count_events().items()}
        if any(count != events for count in folded.values()):
            raise ShardError(f"{events:,} events are copied, and the proofs have {folded}: nothing was moved")

    def _count_events(self) -> Mapping[str, int]:
        statement = sql.SQL(_COUNT_EVENTS).format(proofs=self._last(PROOFS), dead=self._last(DEAD))
        return dict(self._cursor.execute(statement).fetchall())

    def dead_streams(self) -> set[tuple[Any, ...]]:
        """Return the dead letters: projection, stream and version."""
        return {
            *self._cursor.execute(
                sql.SQL("SELECT view, originator_id, originator_version FROM {}").format(
                    self._last("dead_letters")
                )
            ).fetchall()
        }

    def take_out(self) -> SliceCounts:
        """Return the counts and the books, as a source can subtract them."""
        return select_counts(self._cursor, {table: self._last(table) for table in (*KEYS, *_BOOKS)})

    def add(self, taken: TakenSlice) -> None:
        """Add what is folded to the tables of the store, which are in sight again, and store the counts.

        The caller holds the rows of the positions, so no projector writes the counts meanwhile.

        Args:
            taken: The slice.
        """
        of_slice = {table: self._last(table) for table in (*KEYS, *_BOOKS)}
        store_counts(self._cursor, self._schema, taken, of_slice)
        for table in (*KEYS, _NEWEST, *_BOOKS):
            self._put_aside(table)  # it is in the way
        for table in (*KEYS, _NEWEST):
            merge = merge_of(table)
            self._cursor.execute(
                sql.SQL("INSERT INTO {} SELECT {} FROM {}").format(
                    sql.Identifier(merge.stage), _columns(table), self._last(table)
                )
            )
            self._cursor.execute(merge.statement)
        self._cursor.execute(_EMPTY_STAGES)
        live, range_of = sql.Identifier(self._schema, DEAD), self._range.rows_of(DEAD_LETTERS)
        self._cursor.execute(sql.SQL("DELETE FROM {} WHERE {}").format(live, range_of))
        self._cursor.execute(
            sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}").format(
                live, self._last(DEAD), columns=sql.SQL(DEAD_LETTERS.columns)
            )
        )
        self._cursor.execute(
            sql.SQL(_ADD_PROOFS).format(sql.Identifier(self._schema, PROOFS), self._last(PROOFS))
        )

    def begin_again(self) -> Mapping[str, int]:
        """Put empty temporary tables before those of the counts again, behind `add`.

        The dead letters of the slice are in theirs: further events of these streams wait, too.

        Returns:
            The number of events that wait, of each projection.
        """
        for table in (*KEYS, _NEWEST, *_BOOKS):
            self._prefixes[table].append("")
            self._create(table)
        self._cursor.execute(
            sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {} WHERE {}").format(
                self._last(DEAD),
                sql.Identifier(self._schema, DEAD),
                self._range.rows_of(DEAD_LETTERS),
                columns=sql.SQL(DEAD_LETTERS.columns),
            )
        )
        return self._count_events()

    def _put_aside(self, table: str) -> None:
        """Give a temporary table another name, so that the table of the store is no longer hidden."""
        prefixes = self._prefixes[table]
        prefixes[-1] = f"added_{len(prefixes)}_"
        self._rename(table, prefixes[-1])

    def _last(self, table: str) -> sql.Identifier:
        return sql.Identifier("pg_temp", f"{self._prefixes[table][-1]}{table}")


def _columns(table: LiteralString) -> sql.SQL:
    return sql.SQL(names_of(merge_of(table).columns))


def fold_apart(
    connection: Connection[Any], schema: str, slice_range: SliceRange, on_events: Callable[[int], None]
) -> SliceCounts:
    """Return the counts of a slice of a store; nothing is changed there.

    Args:
        connection: In a transaction.
        schema: The schema of the tables.
        slice_range: The slice.
        on_events: Called with the number of events so far.
    """
    folded = FoldedSlice(connection, schema, slice_range)
    with connection.transaction(force_rollback=True):
        folded.begin(aside=True)
        folded.fold_all(on_events)
        return folded.take_out()
