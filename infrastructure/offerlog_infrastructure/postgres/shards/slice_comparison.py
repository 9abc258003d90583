"""The comparison of a slice with its copy: number and digest of the rows of each table.

Both sides compute at the same time. A side that is ready first is asked for nothing again and again, as a
session that is silent inside a transaction is ended (see `hung_sessions`).
"""

from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Final, LiteralString

from psycopg import Cursor, sql

from offerlog_application.ports.shards import ShardError
from offerlog_infrastructure.postgres.shards.slice_files import sum_statements
from offerlog_infrastructure.postgres.shards.slice_range import (
    BLOCKS,
    DEAD_LETTERS,
    EVENTS,
    HOLDS,
    PROJECTED,
    TOMBSTONES,
    VISITORS,
    SliceRange,
)

_HEARD_SECONDS: Final = 2.0
"""Seconds between two questions for nothing."""

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
    asked: dict[str, tuple[sql.Composed, sql.Composed]] = {}
    for table in (EVENTS, VISITORS, TOMBSTONES, HOLDS, BLOCKS, *PROJECTED):
        columns = table.columns.replace(" wrapped_key,", "") if table is VISITORS else table.columns
        rows = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(columns), sql.Identifier(schema, table.name), slice_range.rows_of(table)
        )
        of_source = sql.SQL("{} AND {}").format(rows, events) if table is EVENTS else rows
        asked[table.name] = sql.SQL(_SUM).format(of_source), sql.SQL(_SUM).format(rows)
    for name, statement in sum_statements(slice_range).items():
        asked[name] = statement, statement
    for name, (of_source, of_target) in asked.items():
        there, here = _ask_both((source, of_source), (target, of_target))
        if here != there:
            raise ShardError(
                f"the copy differs from the slice in the table {name}: {here} rows and digest, and"
                f" {there} on the source. Nothing was moved; run `offerlog projections verify --contents`"
            )


def compare_dead_letters(
    source: Cursor[Any], schema: str, slice_range: SliceRange, shard: int, dead: AbstractSet[tuple[Any, ...]]
) -> None:
    """Compare what waits as dead letters on the source with those of the copy.

    Args:
        source: In a snapshot of the source.
        schema: The schema of the tables.
        slice_range: The slice.
        shard: The number of the source.
        dead: The dead letters of the copy: projection, stream and version.

    Raises:
        ShardError: Others wait on the source.
    """
    found = source.execute(
        sql.SQL("SELECT view, originator_id, originator_version FROM {} WHERE {}").format(
            sql.Identifier(schema, DEAD_LETTERS.name), slice_range.rows_of(DEAD_LETTERS)
        )
    ).fetchall()
    if {*found} != dead:
        raise ShardError(
            f"some visitor-offers of the slice wait as dead letters on shard {shard}, and could be read now,"
            " or the other way round: run `offerlog projections dead-letters --retry`, and move it then"
        )


def _ask_both(*asked: tuple[Cursor[Any], sql.Composed]) -> list[tuple[Any, ...] | None]:
    """Return the row of a statement on each of two sides."""
    ready = Event(), Event()

    def ask(side: int) -> tuple[Any, ...] | None:
        cursor, statement = asked[side]
        try:
            found = cursor.execute(statement).fetchone()
        finally:
            ready[side].set()
        while not ready[1 - side].wait(_HEARD_SECONDS):
            cursor.execute("SELECT")
        return found

    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(ask, 0)
        here = ask(1)
        return [there.result(), here]
