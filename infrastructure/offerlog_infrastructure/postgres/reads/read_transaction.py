"""Read transactions with a time limit, stopped when nobody waits for their result."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.rows import DictRow

from offerlog_application.reading.read_budget import (
    ReadBudget,
    ReadCancelledError,
    ReadTimeoutError,
    current_budget,
)
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached

STATEMENT_SECONDS: Final = 30.0
"""Time limit of a statement without a `ReadBudget`."""

ONE_SNAPSHOT: Final = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
"""Makes all statements of a transaction see the same state; the first statement after `read_transaction`."""

_CANCEL_SECONDS: Final = 5.0
"""Time limit for the request to cancel a statement."""


@contextmanager
def read_transaction(datastore: PostgresDatastore) -> Iterator[Cursor[DictRow]]:
    """Open a transaction for one read and set the time limit of its first statement.

    If the current `ReadBudget` is cancelled, the server is asked to stop the statement. The connection is
    then closed, because the request to stop could otherwise hit its next user.

    Raises:
        ReadTimeoutError: The time is over.
        ReadCancelledError: Nobody waits for the answer any more.
        StoreUnavailableError: The store cannot be reached.
    """
    budget = current_budget() or ReadBudget(STATEMENT_SECONDS)
    with store_reached(datastore), datastore.get_connection() as connection:
        try:
            with (
                budget.stoppable(lambda: stop_statement(connection)),
                connection.transaction(),
                connection.cursor() as cursor,
            ):
                limit_statements(cursor)
                if budget.seconds is None:
                    lift_answer_limit(connection)
                yield cursor
        except psycopg.errors.QueryCanceled as error:
            if budget.is_cancelled:
                raise ReadCancelledError from error
            raise ReadTimeoutError(budget.seconds) from error
        finally:
            if budget.is_cancelled:
                connection.close()


def limit_statements(cursor: Cursor[Any]) -> None:
    """Limit the next statements of this transaction to the time that the current budget has left.

    Raises:
        ReadTimeoutError: No time is left.
        ReadCancelledError: Nobody waits for the answer any more.
    """
    budget = current_budget()
    left = STATEMENT_SECONDS if budget is None else budget.remaining()
    milliseconds = 0 if left is None else max(1, round(left * 1_000))
    cursor.execute(f"SET LOCAL statement_timeout = {milliseconds:d}".encode())


def stop_statement(connection: Connection[Any]) -> None:
    """Ask the server to stop the statement that runs on a connection, if any."""
    try:
        connection.cancel_safe(timeout=_CANCEL_SECONDS)
    except psycopg.Error:  # the statement or the server has ended already, and the read will notice
        return
