"""One append as one message to the server: BEGIN, the transaction's id, COPY, the look at the epoch, COMMIT.

Statement by statement, such a transaction takes five round trips. As one message it takes two: the server
carries out the statements up to COPY and asks for the rows; with the rows it goes on up to COMMIT. If a
statement fails, the server skips the rest of the message, and so does not commit. The order matters:

- The id comes before the rows, and COMMIT is carried out after the last row. So the id is known before a
  commit can be lost (docs/decisions/0003).
- COPY locks the events table before it draws its first position (see `horizon`).
- The look at the epoch comes after COPY, and so under that lock (see `fence`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import Connection, Copy, generators, pq
from psycopg.abc import PQGen
from psycopg.copy import LibpqWriter
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

_SELECT_TRANSACTION_ID: Final = b"SELECT pg_current_xact_id()::text"


@dataclass(frozen=True, slots=True)
class AppendStep:
    """A statement of the message.

    Attributes:
        statement: The statement, without parameters.
        table: The table that it uses, for errors.
        rows: The rows that COPY stores; None for another statement.
        types: The types of the columns of COPY, for the driver.
    """

    statement: bytes
    table: str = ""
    rows: Sequence[Sequence[Any]] | None = None
    types: Sequence[str] = ()


class AppendTransaction:
    """A transaction of some statements, COPY from the client among them; used once.

    Args:
        connection: In auto-commit mode, outside a transaction.
        steps: The statements between the transaction's id and COMMIT. Without COPY among them, the caller
            must be able to carry them out twice: `may_be_committed` stays False then.

    Attributes:
        transaction_id: The id of the transaction; empty before the server has answered it.
        may_be_committed: False if nothing is stored, whatever has become of the connection.
        failed: The statement that the server has failed; None if it has failed none.
    """

    def __init__(self, connection: Connection[Any], steps: Sequence[AppendStep]) -> None:
        self.transaction_id = ""
        self.may_be_committed = False
        self.failed: AppendStep | None = None
        self._connection = connection
        self._pgconn = connection.pgconn
        self._steps = [
            AppendStep(b"BEGIN"),
            AppendStep(_SELECT_TRANSACTION_ID),
            *steps,
            AppendStep(b"COMMIT"),
        ]
        self._results: list[PGresult] = []

    def run(self) -> bytes | None:
        """Store everything; returns the first value of the last statement before COMMIT, as text.

        Raises:
            psycopg.Error: A statement has failed, or the connection is lost. If the connection is open, its
                transaction has ended without a commit.
        """
        try:
            return self._run()
        except BaseException:
            self._end()
            raise

    def _run(self) -> bytes | None:
        self._pgconn.send_query(b"; ".join([step.statement for step in self._steps]))
        self._note(self._connection.wait(generators.execute(self._pgconn)))
        self.transaction_id = (self._results[1].get_value(0, 0) or b"").decode()
        copies = [step for step in self._steps if step.rows is not None]
        for step in copies:
            self._copy(step, is_last=step is copies[-1])
        return self._results[-2].get_value(0, 0)

    def _copy(self, step: AppendStep, *, is_last: bool) -> None:
        cursor = self._connection.cursor()
        writer = _RowWriter(cursor, step.table)
        copy = Copy(cursor, binary=True, writer=writer)
        copy.set_types(step.types)
        with copy:
            write = copy.write_row
            for row in step.rows or ():
                write(row)
            self.may_be_committed = is_last
        self._note(writer.results)

    def _note(self, results: Sequence[PGresult]) -> None:
        """Keep the results of the statements that are carried out; raise the error of one that is not."""
        for result in results:
            if result.status == pq.ExecStatus.COPY_IN:
                return
            if result.status not in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
                self.failed = self._steps[len(self._results)]
                raise psycopg.errors.error_from_result(result)
            self._results.append(result)

    def _end(self) -> None:
        """Roll back what the error has left open; where that cannot be done, the connection is closed."""
        status = self._pgconn.transaction_status
        if status == pq.TransactionStatus.ACTIVE:
            self._connection.close()
        elif status != pq.TransactionStatus.IDLE and not self._connection.closed:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._connection.close()


class _RowWriter(LibpqWriter):
    """A writer that ends COPY and takes the results of all statements up to the next COPY.

    Attributes:
        table: The table's name.
        results: Those results.
    """

    def __init__(self, cursor: psycopg.Cursor[Any], table: str) -> None:
        super().__init__(cursor)
        self.table = table
        self.results: Sequence[PGresult] = ()

    def finish(self, exc: BaseException | None = None) -> None:
        """End COPY; because of an error, without storing anything."""
        if exc is not None:
            super().finish(exc)
        else:
            self.results = self.connection.wait(_end_copy(self.connection.pgconn))


def _end_copy(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Send the end of COPY, and fetch all results that follow."""
    while pgconn.put_copy_end() == 0:
        while not (yield Wait.W) & Ready.W:
            continue
    results: list[PGresult] = yield from generators.execute(pgconn)
    return results
