"""The comparison of live and rebuilt tables at one position, on two connections side by side.

All projectors wait for it. The live tables have nothing uncommitted meanwhile, so another connection sees
them as they are. The new tables may have rows of the transaction that is to swap them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

from psycopg import Cursor, sql
from psycopg.rows import tuple_row

from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.tables import Projection

_LOOK_SECONDS: Final = 1.0

_Digest = tuple[Any, ...] | None


def find_differences(
    application: OfferlogApplication,
    cursor: Cursor[Any],
    staging: StagingSchema,
    projections: Sequence[Projection],
) -> Iterator[str]:
    """Describe rows that only the live or only the new tables hold, for people; at most three of each.

    Args:
        application: Lends the other connection.
        cursor: In the transaction for which the live projections wait, with the rows that only it sees yet.
        staging: The schema of the new tables.
        projections: The projections.

    Raises:
        LockNotAvailable: Another session waits for an exclusive lock of a live table.
    """
    names = [table for projection in projections for table in projection.tables]
    live, ours = staging.live_tables(projections), staging.staged_tables(projections)
    with (
        application.connect() as connection,
        connection.cursor(row_factory=tuple_row) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        # A lock that is waited for by others could not be detected: they wait for this process.
        other.execute("SET lock_timeout = '2s'")
        digests = [pool.submit(_digest_rows, other, table) for table in live]
        differing = [
            name
            for name, table, digest in zip(names, ours, digests, strict=True)
            if _digest_rows(cursor, table) != _await(digest, cursor)
        ]
    tables = dict(zip(names, zip(live, ours, strict=True), strict=True))
    for name in differing:
        for label, one, another in (
            ("only live", *tables[name]),
            ("only rebuilt", *reversed(tables[name])),
        ):
            cursor.execute(
                sql.SQL("SELECT x::text FROM (SELECT * FROM {} EXCEPT SELECT * FROM {}) AS x LIMIT 3").format(
                    one, another
                )
            )
            for (row,) in cursor.fetchall():
                yield f"{name}, {label}: {row}"


def _await(digest: Future[_Digest], cursor: Cursor[Any]) -> _Digest:
    """Wait for the digest of the live table. Ask something meanwhile: the server ends who stands still.

    It takes as long as the table is large, and ends: a lock is waited for two seconds at most, and a server
    that goes away ends the connection of `cursor` as well, which is an error here.
    """
    while not wait([digest], _LOOK_SECONDS).done:
        cursor.execute("SELECT")
    return digest.result()


def _digest_rows(cursor: Cursor[Any], table: sql.Identifier) -> _Digest:
    """Select the number of rows and a digest of them that does not depend on their order."""
    return cursor.execute(
        sql.SQL("SELECT count(*), sum(hash_record_extended(t, 0)) FROM {} AS t").format(table)
    ).fetchone()
