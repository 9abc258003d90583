"""The copy of the rows of one table of a slice, from the source to the target."""

from typing import Any, Final, LiteralString

from psycopg import Cursor, sql

from offerlog_infrastructure.postgres.shards.slice_range import TOMBSTONES, VISITORS, SliceRange, SliceTable

_SELECT_KEYS: LiteralString = "SELECT number, id FROM key_encryption_keys"
_INSERT_KEYS: LiteralString = """
    INSERT INTO key_encryption_keys (id) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING
"""

_BLOCK: Final = 1 << 16
"""Bytes that are handed to the target at once."""


class TableCopy:
    """Copies rows of a slice.

    Args:
        source: Reads the source.
        target: Writes to the target.
        schema: The schema of the tables.
        slice_range: The slice.
    """

    def __init__(
        self, source: Cursor[Any], target: Cursor[Any], schema: str, slice_range: SliceRange
    ) -> None:
        self._from = source
        self._into = target
        self._schema = schema
        self._range = slice_range

    def replace(self, table: SliceTable, condition: sql.Composable) -> None:
        """Copy rows of the slice anew."""
        self._into.execute(
            sql.SQL("DELETE FROM {} WHERE {} AND {}").format(
                self.live(table), self._range.rows_of(table), condition
            )
        )
        self.copy(table, condition)

    def copy(
        self,
        table: SliceTable,
        condition: sql.Composable | None = None,
        into: str | None = None,
        columns: LiteralString | None = None,
    ) -> int:
        """Copy rows of the slice from the source to the target; returns their number."""
        columns = columns or table.columns
        condition = condition or sql.SQL("true")
        wanted: sql.Composable = sql.SQL(columns)
        if table is VISITORS:
            columns = f"{columns}, kek"
            wanted = sql.SQL("{}, ({}::jsonb ->> kek::text)::int2").format(
                wanted, sql.Literal(self._map_keys())
            )
        elif table is TOMBSTONES:
            condition = sql.SQL("{} AND completed_at IS NOT NULL").format(condition)
        select = sql.SQL("COPY (SELECT {} FROM {} WHERE {} AND {}) TO STDOUT (FORMAT BINARY)").format(
            wanted, self.live(table), self._range.rows_of(table), condition
        )
        store = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.Identifier(into or table.name), sql.SQL(columns)
        )
        return copy_rows(self._from, self._into, select, store)

    def _map_keys(self) -> str:
        """Return the number of each key on the target by that on the source, as JSON."""
        of_source: dict[int, str] = dict(self._from.execute(_SELECT_KEYS).fetchall())
        self._into.execute(_INSERT_KEYS, (sorted(of_source.values()),))
        numbers = {name: number for number, name in self._into.execute(_SELECT_KEYS).fetchall()}
        pairs = [f'"{number}": {numbers[name]}' for number, name in of_source.items()]
        return f"{{{', '.join(pairs)}}}"

    def live(self, table: SliceTable) -> sql.Identifier:
        """Return the name of a table of the store, whatever stands before it."""
        return sql.Identifier(self._schema, table.name)


def copy_rows(
    source: Cursor[Any], target: Cursor[Any], select: sql.Composed, store: sql.SQL | sql.Composed
) -> int:
    """Hand rows from one server to another in binary form; returns their number.

    Args:
        source: Executes `select`.
        target: Executes `store`.
        select: Copies rows out.
        store: Copies them in.
    """
    with source.copy(select) as rows, target.copy(store) as copy:
        block = bytearray()
        for row in rows:
            block += row
            if len(block) >= _BLOCK:
                copy.write(bytes(block))
                block.clear()
        copy.write(bytes(block))
    return target.rowcount
