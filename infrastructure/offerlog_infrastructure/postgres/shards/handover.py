"""The change of the owner: fence, rest and take, in one message to the source and one to the target.

In between the slice has no owner. On a busy machine each answer of a server takes some ten milliseconds,
whatever was asked. So the source gives the slice away, waits for its writers and reads the rest in one
message, and the target writes the rest, takes the slice and commits in another one. Most of what comes during
the last preparations is brought over before, in rounds that take the very same way.

Nothing is sent to the target before the source has answered that its fence is committed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import Connection, pq, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.shards import ShardError
from offerlog_infrastructure.postgres.log.fence import await_writers, let_server_await_writers
from offerlog_infrastructure.postgres.shards import move_steps, slice_rest
from offerlog_infrastructure.postgres.shards.move_steps import Move
from offerlog_infrastructure.postgres.shards.move_times import MoveTimes
from offerlog_infrastructure.postgres.shards.rest_changes import RestChanges
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from offerlog_infrastructure.postgres.shards.slice_range import SliceRange
from offerlog_infrastructure.postgres.shards.slice_rest import Rest
from offerlog_infrastructure.postgres.shards.taken_counts import TakenSlice

_SERVER_SECONDS: Final = 3.0
"""Seconds for which the source waits for writers that are at work at the fence."""

_LOOK_SECONDS: Final = 1.0
"""Seconds for which the mover waits for them afterwards. Then the error names them."""

_APPROACHES: Final = 5
"""Most rounds of what has come since the round before, right before the fence."""

_NEAR: Final = 2
"""So few events in such a round are near enough."""

_FENCING: Final = ("fence", "wait for writers", "read the rest", "answer of the source")
_TAKING: Final = ("write the rest", "take", "commit", "answer of the target")

_CLOCK: Final = sql.SQL("SELECT extract(epoch FROM clock_timestamp())::float8")
_BEGAN: Final = _CLOCK.as_bytes()
_SAVE: Final = sql.SQL("SAVEPOINT rest")
_FORGET_REST: Final = sql.SQL("ROLLBACK TO SAVEPOINT rest")


class Handover:
    """The change of the owner of a slice.

    Args:
        copy: The copy, with the counts up to now.
        connections: One to the source, in auto-commit mode, and one to the target, in the transaction that
            has the copy.
        schema: The schema of the tables.
        move: The move.
        times: Gets the time of each step.
    """

    def __init__(
        self,
        copy: SliceCopy,
        connections: tuple[Connection[Any], Connection[Any]],
        schema: str,
        move: Move,
        times: MoveTimes,
    ) -> None:
        self._copy = copy
        self._source, self._target = connections
        self._schema = schema
        self._move = move
        self._times = times
        self._range = SliceRange(move.slice)
        self._taken = TakenSlice(move.slice, move.label + 1)
        self._near: list[int] = []
        self._is_usual = True
        self._fence: Sequence[bytes] = ()
        self._ending: Sequence[bytes] = ()

    @property
    def events(self) -> int:
        """The number of copied events."""
        return self._copy.events + len(self._near)

    def rehearse(self) -> None:
        """Let both servers carry out all statements, in vain: they know all tables the second time.

        Raises:
            ShardError: The source does not own the slice under the label, or the label is closed.
        """
        self._source.execute(slice_rest.USE_INDEXES)
        let_server_await_writers(self._source)
        last = self._move.source, self._copy.numbers
        self._source.execute(
            slice_rest.let_server_read_rest(self._schema, self._range, self._copy.newer(), last)
        )
        begin, give, _ = move_steps.give(self._move)
        vain = [begin, give, sql.SQL("ROLLBACK"), _await(0.0), self._select_rest()]
        if self._send(self._source, [one.as_bytes(self._source) for one in vain])[1] is None:
            raise undone()
        written = slice_rest.write_rest(self._schema, self._range, slice_rest.NO_REST, [slice_rest.NO_STREAM])
        changes = RestChanges.none().statements(self._schema, self._taken)
        vain = [_SAVE, *written, *changes, *self._take(), _FORGET_REST]
        self._send(self._target, [one.as_bytes(self._target) for one in vain])

    def approach(self) -> None:
        """Bring over what comes meanwhile, until next to nothing is left. The slice has its owner.

        Raises:
            ShardError: As `take` raises it.
        """
        for _ in range(_APPROACHES):
            rest = self._read_rest()
            if not self._write(rest, self._copy.epoch) or len(rest.positions()) <= _NEAR:
                break
        # Written out here, as that takes time, too.
        give = [_CLOCK, *move_steps.give(self._move), _CLOCK]
        fence = [*give, _await(_SERVER_SECONDS), _CLOCK, self._select_rest(), _CLOCK]
        self._fence = [one.as_bytes(self._source) for one in fence]
        ending = [_CLOCK, *self._take(), _CLOCK, sql.SQL("COMMIT"), _CLOCK]
        self._ending = [one.as_bytes(self._target) for one in ending]

    def fence(self) -> Rest:
        """Give the slice away on the source, wait for its older writers, and return the rest.

        Raises:
            ShardError: The source does not own the slice under the label.
            FenceTimeoutError: Some writers have not ended.
        """
        _, _, given, _, _, (have_ended,), _, row, _ = self._send(self._source, self._fence, _FENCING)
        if given is None:
            raise undone()
        if have_ended:
            return self._check(Rest(*row))
        await_writers(self._source, _LOOK_SECONDS, waited=_SERVER_SECONDS)
        rest = self._read_rest()
        self._times.note("wait for writers")
        return rest

    def take(self, rest: Rest) -> None:
        """Bring the rest to the target, and take the slice there: all of it with the commit.

        Raises:
            ShardError: A visitor of the slice is being erased, some events are not folded, or the label is
                closed.
        """
        if self._write(rest, self._copy.epoch + 1, self._ending):  # the fence alone: no visitor was erased
            return
        self._source.execute(slice_rest.USE_ANY_PLAN)
        self._copy.copy_rest(self._taken)
        self._times.note("copy the rest as a round does")
        self._send(self._target, [_BEGAN, *self._ending], _TAKING)

    def _write(self, rest: Rest, epoch: int, ending: Sequence[bytes] = ()) -> bool:
        """Write a rest as one message; False if that cannot be done: then no rest is written.

        Args:
            rest: The rest.
            epoch: The epoch of the source, if no visitor was erased.
            ending: Statements that end the message.
        """
        changes = None
        if self._is_usual and rest.epoch == epoch and not rest.are_archived:
            changes = RestChanges.of(rest.rows(), rest.newer(), self._copy.dead)
        if changes is not None:
            try:
                made = slice_rest.write_rest(self._schema, self._range, rest, rest.newer())
                made += changes.statements(self._schema, self._taken)
                written = [one.as_bytes(self._target) for one in made]
                if ending:
                    self._times.note("compute the changes")
                    self._send(self._target, [_BEGAN, *written, *ending], _TAKING)
                else:
                    self._send(self._target, written)
            except (psycopg.DataError, psycopg.IntegrityError):
                pass
            else:
                self._near += rest.positions()
                return True
        self._is_usual = False
        self._near.clear()
        self._target.execute(_FORGET_REST)
        return False

    def _read_rest(self) -> Rest:
        (row,) = self._send(self._source, [self._select_rest().as_bytes(self._source)])
        return self._check(Rest(*row))

    def _check(self, rest: Rest) -> Rest:
        """Return a rest, unless it says that the slice must stay.

        Raises:
            ShardError: A visitor of the slice is being erased.
        """
        if rest.erasing:
            raise ShardError("a visitor of the slice is being erased: move it when that has ended")
        return rest

    def _select_rest(self) -> sql.Composed:
        """Return the statement that reads the rest, without what is brought over."""
        return slice_rest.read_rest_without(self._near)

    def _take(self) -> list[sql.Composable]:
        return move_steps.take(self._move.slice, self._move.label)

    def _send(
        self, connection: Connection[Any], statements: Sequence[bytes], steps: Sequence[str] = ()
    ) -> list[Any]:
        """Send statements as one message; returns the first row of each, None for none.

        If one fails, the server carries out none behind it.

        Args:
            connection: A connection.
            statements: The statements.
            steps: The names of the steps between those that ask for the time, and of the wait for the answer.

        Raises:
            ShardError: The label of the move is closed.
        """
        cursor = connection.cursor(row_factory=tuple_row)
        try:
            cursor.execute(b";".join(statements), prepare=False)
        except psycopg.Error as error:
            if error.sqlstate == move_steps.CLOSED:
                raise undone() from error
            raise
        rows: list[Any] = []
        for _ in statements:
            rows.append(cursor.fetchone() if cursor.description else None)
            cursor.nextset()
        if steps:
            times = [row[0] for one, row in zip(statements, rows, strict=True) if one == _BEGAN]
            self._times.note_answer(steps, times)
        return rows


def undone() -> ShardError:
    """Return the error of a mover whose move another one has undone."""
    return ShardError(
        "the move was undone meanwhile, or another command has moved the slice: see `offerlog shards status`"
    )


def _await(seconds: float) -> sql.Composed:
    return sql.SQL("SELECT pg_temp.await_writers({})").format(sql.Literal(seconds))


@contextmanager
def open_transaction(connection: Connection[Any]) -> Iterator[None]:
    """Open a transaction, which the block commits; otherwise it is rolled back."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        if connection.info.transaction_status == pq.TransactionStatus.ACTIVE:
            connection.close()
        else:
            with suppress(psycopg.Error):  # the session is gone, and with it the transaction
                connection.rollback()
        raise
