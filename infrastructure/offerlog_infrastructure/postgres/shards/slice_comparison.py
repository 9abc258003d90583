"""The comparison of a slice with its copy: number and digest of the rows of each table."""

from typing import Any, LiteralString

from psycopg import Cursor, sql

from offerlog_application.ports.shards import ShardError
from offerlog_infrastructure.postgres.shards.slice_range import (
    BLOCKS,
    EVENTS,
    HOLDS,
    PROJECTED,
    TOMBSTONES,
    VISITORS,
    SliceRange,
)

_SUM: LiteralString = "SELECT count(*), coalesce(sum(hash_record_extended(t, 0)), 0) FROM ({}) AS t"


def compare_tables(
    source: Cursor[Any],
    target: Cursor[Any],
    schema: str,
    slice_range: SliceRange,
    events: sql.Composable,
) -> None:
    """Compare the rows of a slice on both sides, table by table.

    Encrypted keys of visitors are left out: a change of the keyring's key may have encrypted them anew.

    Args:
        source: In a snapshot of the source.
        target: In the transaction that has the copy.
        schema: The schema of the tables.
        slice_range: The slice.
        events: The condition of those events of the source that are in the copy.

    Raises:
        ShardError: They differ; the error names the table.
    """
    for table in (EVENTS, VISITORS, TOMBSTONES, HOLDS, BLOCKS, *PROJECTED):
        columns = table.columns.replace(" wrapped_key,", "") if table is VISITORS else table.columns
        rows = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(columns), sql.Identifier(schema, table.name), slice_range.rows_of(table)
        )
        of_source = sql.SQL("{} AND {}").format(rows, events) if table is EVENTS else rows
        there = source.execute(sql.SQL(_SUM).format(of_source)).fetchone()
        here = target.execute(sql.SQL(_SUM).format(rows)).fetchone()
        if here != there:
            raise ShardError(
                f"the copy differs from the slice in the table {table.name}: {here} rows and digest, and"
                f" {there} on the source. Nothing was moved; run `offerlog projections verify --contents`"
            )
