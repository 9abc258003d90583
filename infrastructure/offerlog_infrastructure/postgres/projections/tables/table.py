"""One projection's tables, and how changes are written to them: in the transaction that moves its position.

A view is fed in two ways that come to the same: page by page in order of position, merged with what is
there (the projector), or whole streams at a time into empty tables (a rebuild).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, LiteralString, NamedTuple

from psycopg import Cursor, sql
from psycopg.types.string import BytesBinaryDumper

from offerlog_application.projections.page import Page

Rows = Collection[Sequence[Any]]


class Merge(NamedTuple):
    """How the projector writes: the rows of a change wait in a stage until one statement merges them.

    COPY into a temporary table takes rows many times faster than arrays of parameters do.
    """

    stage: LiteralString
    columns: LiteralString
    statement: LiteralString
    rows: Callable[[Any], Rows]


class Load(NamedTuple):
    """How a rebuild writes: rows of whole streams, straight into a table that is empty of them."""

    table: LiteralString
    columns: LiteralString
    rows: Callable[[Any], Rows]


@dataclass(frozen=True, slots=True)
class Projection:
    """One projection's tables.

    Attributes:
        name: The projection; its position stands under it.
        tables: Its tables.
        change: What a page brings about.
        merges: How the projector writes that.
        loads: How a rebuild does.
        finish: What a rebuild does at its end, when all is loaded.
    """

    name: str
    tables: tuple[LiteralString, ...]
    change: Callable[[Page], Any]
    merges: tuple[Merge, ...]
    loads: tuple[Load, ...]
    finish: LiteralString = ""

    def apply(self, cursor: Cursor[Any], page: Page) -> None:
        """Merge the change that a page brings about."""
        change = self.change(page)
        for merge in self.merges:
            if _copy_rows(cursor, merge.stage, merge.columns, merge.rows(change)):
                cursor.execute(merge.statement, prepare=True)
                # The commit empties it too, but a page that fails is applied part by part before that.
                cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(merge.stage)), prepare=True)

    def load(self, cursor: Cursor[Any], page: Page) -> None:
        """Load what whole streams come to; none of them may have been loaded before."""
        change = self.change(page)
        for load in self.loads:
            _copy_rows(cursor, load.table, load.columns, load.rows(change))


def _copy_rows(cursor: Cursor[Any], table: str, columns: LiteralString, rows: Rows) -> bool:
    """Copy rows, if there are any; ids come as their 16 bytes, which is what lies in a column of them."""
    if not rows:
        return False
    statement, types = _copy_statement(table, columns)
    cursor.adapters.register_dumper(bytes, BytesBinaryDumper)  # not the slower one of DB-API's Binary
    with cursor.copy(statement) as copy:
        copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)
    return True


def names_of(columns: LiteralString) -> LiteralString:
    """Columns without their types."""
    return ", ".join([column.split()[0] for column in columns.split(",")])


@cache
def _copy_statement(table: str, columns: str) -> tuple[sql.Composed, list[str]]:
    """The statement, and how the driver is to write each column."""
    named = [column.split() for column in columns.split(",")]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for name, _ in named)
    )
    return statement, ["bytea" if kind == "uuid" else kind for _, kind in named]


@lru_cache(maxsize=1_000)
def id_bytes(text: str) -> bytes:
    """An id as it lies in a column of ids; those of maps, and of actions just seen, are remembered."""
    return bytes.fromhex(text.replace("-", ""))
