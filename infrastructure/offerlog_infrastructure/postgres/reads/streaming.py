"""Long lists, fetched page by page: a slow reader holds neither a transaction nor a connection."""

from collections.abc import Generator, Mapping
from typing import Any, LiteralString

from eventsourcing.postgres import PostgresDatastore
from psycopg.rows import DictRow

from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction


def stream_rows(
    datastore: PostgresDatastore,
    statement: LiteralString,
    where: Mapping[str, Any],
    behind: Mapping[str, Any],
    *,
    page: int,
) -> Generator[DictRow]:
    """Yield the rows of a statement in the order of some columns; each page is one query.

    Args:
        datastore: The pool to read with.
        statement: Orders by the columns of `behind`, starts after their values, selects at most `limit` rows.
        where: Its other parameters.
        behind: The columns, and the values after which the first page starts.
        page: The most rows to hold at a time.

    Raises:
        ReadTimeoutError: A page took longer than it may.
        ReadCancelledError: Nobody waits for the list any more.
        StoreUnavailableError: The store cannot be reached.
    """
    while True:
        with read_transaction(datastore) as cursor:
            rows = cursor.execute(statement, {**where, **behind, "limit": page}).fetchall()
        yield from rows
        if len(rows) < page:
            return
        behind = {column: rows[-1][column] for column in behind}
