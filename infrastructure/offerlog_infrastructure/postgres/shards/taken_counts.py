"""The counts of a slice that was taken: the take stores them on the target, the source subtracts them.

Tables of counts have no slice. So the mover folds the events of the slice apart, and the target adds what
comes out to its own counts. The source must subtract the same. Whoever lets it do that, the mover or a
service that finds the mover gone, reads it on the target: folding the events again takes as long as the copy.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.shards import ShardError
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from offerlog_infrastructure.postgres.projections.tables.table import Merge, names_of
from offerlog_infrastructure.postgres.shards.move_steps import connected

KEYS: Final[Mapping[LiteralString, int]] = {
    "performance_counts": 6,
    "performance_days": 6,
    "form_rejections": 4,
    "blocked_counts": 6,
}
"""The tables of counts: the number of columns that say what is counted; they come first."""

PROOFS: Final = "projection_proofs"
DEAD: Final = "dead_letters"

_NULLABLE: Final = {
    ("performance_counts", "action_map_version"),
    ("performance_days", "action_map_version"),
    ("blocked_counts", "action_map_version"),
    ("blocked_counts", "media_type"),
}
_BOOKS: Final[Mapping[LiteralString, LiteralString]] = {
    PROOFS: "view, slice, events, digest",
    DEAD: "view, originator_id, originator_version",
}
_TOGETHER: Final = 1_000
"""Rows in one array."""

_SELECT_ARRAYS: LiteralString = """
    SELECT json_agg(one.counts) AS counts FROM (
        SELECT to_json(c) AS counts, row_number() OVER () / {together} AS part
        FROM (SELECT {columns} FROM {table}) AS c
    ) AS one GROUP BY one.part
"""
_INSERT_TAKEN: LiteralString = """
    INSERT INTO {taken} (slice, epoch, table_name, counts)
    SELECT {slice}, {epoch}, {name}, found.counts FROM ({arrays}) AS found
"""
_INSERT_ARRAYS: LiteralString = """
    INSERT INTO {taken} (slice, epoch, table_name, counts)
    SELECT {slice}, {epoch}, name, rows::json FROM unnest({names}::text[], {rows}::text[]) AS one (name, rows)
"""
_SELECT_TAKEN: LiteralString = """
    SELECT table_name, counts::text FROM taken_counts WHERE slice = %s AND epoch = %s ORDER BY id
"""
_DELETE_TAKEN: LiteralString = "DELETE FROM {} WHERE slice = %s AND epoch <= %s"
_SAME: LiteralString = "c.{0} IS NOT DISTINCT FROM g.{0}"
_COUNT_BELOW: LiteralString = (
    "SELECT count(*) FROM {table} AS c JOIN {gone} AS g ON {match} WHERE {signs} < 0"
)
_SUBTRACT_PROOFS: LiteralString = """
    UPDATE {table} AS p SET events = p.events - gone.events, digest = p.digest - gone.digest
    FROM json_populate_recordset(NULL::{table}, %s) AS gone WHERE p.view = gone.view AND p.slice = gone.slice
"""


class TakenSlice(NamedTuple):
    """A slice that a shard has given away.

    Attributes:
        number: The slice.
        epoch: Its epoch on the source since the fence.
    """

    number: int
    epoch: int


class SliceCounts:
    """The counts of a slice, apart from any connection.

    Args:
        tables: The rows of each table, as JSON arrays. Rows of a table of counts with the same key add up.
    """

    def __init__(self, tables: Mapping[str, Sequence[str]]) -> None:
        self._tables = tables

    def dead_streams(self) -> set[tuple[Any, ...]]:
        """Return the dead letters: projection, stream and version."""
        return {
            (one["view"], UUID(one["originator_id"]), one["originator_version"])
            for array in self._tables.get(DEAD, ())
            for one in json.loads(array)
        }

    def subtract(self, cursor: Cursor[Any], schema: str) -> None:
        """Subtract the counts from those of a store, in the current transaction.

        The caller holds the rows of the positions.

        Raises:
            ShardError: The store does not have these counts.
        """
        for table in KEYS:
            _subtract(cursor, schema, table, self._tables.get(table, ()))
        for array in self._tables.get(PROOFS, ()):
            cursor.execute(sql.SQL(_SUBTRACT_PROOFS).format(table=sql.Identifier(schema, PROOFS)), (array,))


def store_counts(
    cursor: Cursor[Any], schema: str, taken: TakenSlice, tables: Mapping[str, sql.Identifier]
) -> None:
    """Store the rows of some tables as those of a slice, in the current transaction on the target.

    Args:
        cursor: On the target.
        schema: The schema of the tables.
        taken: The slice.
        tables: Where the rows of each table are.
    """
    for name, table in tables.items():
        cursor.execute(
            sql.SQL(_INSERT_TAKEN).format(
                taken=sql.Identifier(schema, "taken_counts"),
                slice=sql.Literal(taken.number),
                epoch=sql.Literal(taken.epoch),
                name=sql.Literal(name),
                arrays=_select_arrays(name, table),
            )
        )


def insert_arrays(schema: str, taken: TakenSlice, arrays: Sequence[tuple[str, str]]) -> sql.Composed:
    """Return the statement that stores some rows as those of a slice.

    Args:
        schema: The schema of the tables.
        taken: The slice.
        arrays: Names of tables, each with rows as a JSON array.
    """
    names, rows = zip(*arrays, strict=True)
    return sql.SQL(_INSERT_ARRAYS).format(
        taken=sql.Identifier(schema, "taken_counts"),
        slice=sql.Literal(taken.number),
        epoch=sql.Literal(taken.epoch),
        names=sql.Literal(list(names)),
        rows=sql.Literal(list(rows)),
    )


def select_counts(cursor: Cursor[Any], tables: Mapping[str, sql.Identifier]) -> SliceCounts:
    """Return the rows of some tables as counts of a slice."""
    return SliceCounts(
        {
            name: [
                array
                for (array,) in cursor.execute(
                    sql.SQL("SELECT found.counts::text FROM ({}) AS found").format(
                        _select_arrays(name, table)
                    )
                ).fetchall()
            ]
            for name, table in tables.items()
        }
    )


def read_taken(target: OfferlogApplication, taken: TakenSlice) -> SliceCounts | None:
    """Return the counts that the take of a slice has stored; None if there are none.

    Raises:
        StoreUnavailableError: The target cannot be reached.
    """
    tables: dict[str, list[str]] = {}
    with connected(target) as connection:
        cursor = connection.cursor(row_factory=tuple_row)
        for name, array in cursor.execute(_SELECT_TAKEN, taken).fetchall():
            tables.setdefault(name, []).append(array)
    return SliceCounts(tables) if tables else None


def delete_counts(cursor: Cursor[Any], schema: str, taken: TakenSlice) -> None:
    """Delete the counts that takes of a slice have stored on a target, up to one: they were subtracted."""
    cursor.execute(sql.SQL(_DELETE_TAKEN).format(sql.Identifier(schema, "taken_counts")), taken)


def _select_arrays(name: str, table: sql.Identifier) -> sql.Composed:
    columns = _BOOKS.get(name) or names_of(merge_of(name).columns)
    return sql.SQL(_SELECT_ARRAYS).format(
        together=sql.Literal(_TOGETHER), columns=sql.SQL(columns), table=table
    )


def _subtract(cursor: Cursor[Any], schema: str, table: LiteralString, arrays: Sequence[str]) -> None:
    """Subtract some counts from those in a table.

    Raises:
        ShardError: The table does not have these counts.
    """
    if not arrays:
        return
    names = names_of(merge_of(table).columns).split(", ")
    keys, counts = names[: KEYS[table]], names[KEYS[table] :]
    live, gone = sql.Identifier(schema, table), sql.Identifier(f"gone_{table}")
    expected = _add_up(cursor, gone, live, (keys, counts), arrays)
    match = sql.SQL(" AND ").join(
        sql.SQL(_SAME if (table, key) in _NULLABLE else "c.{0} = g.{0}").format(sql.Identifier(key))
        for key in keys
    )
    where = {"table": live, "gone": gone, "match": match}
    cursor.execute(
        sql.SQL("UPDATE {table} AS c SET {differences} FROM {gone} AS g WHERE {match}").format(
            differences=_list("{0} = c.{0} - g.{0}", counts), **where
        )
    )
    updated = cursor.rowcount
    signs = sql.SQL("least({})").format(_list("c.{}", counts))
    below = cursor.execute(sql.SQL(_COUNT_BELOW).format(signs=signs, **where)).fetchone()
    if updated != expected or below != (0,):
        raise ShardError(
            f"the counts of the slice are not part of those in {table}: run `offerlog projections"
            " verify --contents`, and rebuild what differs"
        )
    cursor.execute(
        sql.SQL("DELETE FROM {table} AS c USING {gone} AS g WHERE {match} AND {zero}").format(
            zero=_list("c.{} = 0", counts, " AND "), **where
        )
    )
    cursor.execute(sql.SQL("DROP TABLE {}").format(gone))


def _add_up(
    cursor: Cursor[Any],
    gone: sql.Identifier,
    live: sql.Identifier,
    names: tuple[Sequence[str], Sequence[str]],
    arrays: Sequence[str],
) -> int:
    """Create a temporary table with the sums of some arrays, without zeros; returns how many."""
    keys, counts = names
    parts = sql.Identifier("gone_parts")
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
            parts, _list("{}", [*keys, *counts]), live
        )
    )
    for array in arrays:
        cursor.execute(
            sql.SQL("INSERT INTO {} SELECT {} FROM json_populate_recordset(NULL::{}, %s)").format(
                parts, _list("{}", [*keys, *counts]), live
            ),
            (array,),
        )
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE {} AS SELECT {}, {} FROM {} GROUP BY {} HAVING {}").format(
            gone,
            _list("{}", keys),
            _list("sum({0}) AS {0}", counts),
            parts,
            _list("{}", keys),
            _list("sum({}) <> 0", counts, " OR "),
        )
    )
    expected = cursor.rowcount
    cursor.execute(sql.SQL("DROP TABLE {}").format(parts))
    return expected


def _list(form: LiteralString, names: Sequence[str], between: LiteralString = ", ") -> sql.Composed:
    return sql.SQL(between).join(sql.SQL(form).format(sql.Identifier(name)) for name in names)


def merge_of(table: str) -> Merge:
    """Return how the projector writes a table of counts."""
    return next(
        merge
        for projection in PROJECTIONS
        for merge in projection.merges
        if f"INSERT INTO {table} " in merge.statement
    )
