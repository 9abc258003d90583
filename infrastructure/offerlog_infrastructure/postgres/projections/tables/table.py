"""The tables of one projection, and the two ways to write them.

The projector applies pages in order of position and merges each with the rows that are there. A rebuild loads
whole streams into empty tables. Both give the same rows, and both write in the transaction that records the
progress.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, LiteralString, NamedTuple

from psycopg import Cursor, sql
from psycopg.types.string import BytesBinaryDumper

from offerlog_application.projections.page import Page

Rows = Collection[Sequence[Any]]


class Merge(NamedTuple):
    """A write of the projector: COPY into a temporary table, then one statement that merges its rows.

    COPY takes rows many times faster than arrays of parameters do.
    """

    stage: LiteralString
    columns: LiteralString
    statement: LiteralString
    rows: Callable[[Any], Rows]


class Load(NamedTuple):
    """A write of a rebuild: COPY of the rows of whole streams straight into the table.

    Attributes:
        table: The table.
        columns: Its columns, with their types.
        rows: The rows of a change.
        counted_by: In a table of counts, the number of columns that say what is counted; they come first. Its
            rows belong to many streams. None where each row belongs to one stream.
    """

    table: LiteralString
    columns: LiteralString
    rows: Callable[[Any], Rows]
    counted_by: int | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """One projection's tables.

    Attributes:
        name: The name, under which the position is stored.
        tables: Its tables.
        change: Computes the change that a page makes.
        merges: The writes of the projector.
        loads: The writes of a rebuild.
        finish: SQL that a rebuild runs when all streams are loaded.
    """

    name: str
    tables: tuple[LiteralString, ...]
    change: Callable[[Page], Any]
    merges: tuple[Merge, ...]
    loads: tuple[Load, ...]
    finish: LiteralString = ""

    def apply(self, cursor: Cursor[Any], page: Page) -> None:
        """Merge the change that a page makes."""
        change = self.change(page)
        for merge in self.merges:
            if _copy_rows(cursor, merge.stage, merge.columns, merge.rows(change)):
                cursor.execute(merge.statement, prepare=True)
                # The commit would empty it, but a page that fails is applied in parts before that.
                cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(merge.stage)), prepare=True)

    def load(self, cursor: Cursor[Any], page: Page) -> None:
        """Load the rows of whole streams; no stream may be loaded twice."""
        change = self.change(page)
        for load in self.loads:
            _copy_rows(cursor, load.table, load.columns, load.rows(change))


def _copy_rows(cursor: Cursor[Any], table: str, columns: LiteralString, rows: Rows) -> bool:
    """Copy rows, if there are any; ids are given as their 16 bytes. Returns whether there were rows."""
    if not rows:
        return False
    statement, types = _copy_statement(table, columns)
    cursor.adapters.register_dumper(bytes, BytesBinaryDumper)  # faster than the driver's own dumper
    with cursor.copy(statement) as copy:
        copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)
    return True


def names_of(columns: LiteralString) -> LiteralString:
    """Return the names of columns without their types."""
    return ", ".join([column.split()[0] for column in columns.split(",")])


@cache
def _copy_statement(table: str, columns: str) -> tuple[sql.Composed, list[str]]:
    """Return the COPY statement and the type of each column for the driver."""
    named = [column.split() for column in columns.split(",")]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for name, _ in named)
    )
    return statement, ["bytea" if kind == "uuid" else kind for _, kind in named]
