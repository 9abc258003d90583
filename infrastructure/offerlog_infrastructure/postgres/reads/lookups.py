"""Look-ups of every page view, on separate connections.

The pool's work for each loan (locks, transactions, checks) costs more than the look-up itself. And a burst of
page views must not use up the writer's connections.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.store_figures import PoolUse
from offerlog_application.reading.read_budget import ReadCancelledError, ReadTimeoutError, current_budget
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import READERS_LOCK_TIMEOUT, OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import stop_statement

_KEPT: Final = 8
"""Number of connections that are kept open between look-ups; more are opened while more threads ask."""

_ANSWER_SECONDS: Final = 15.0
"""Seconds to wait for an answer before a look-up counts as failed."""

_STATEMENT_SECONDS: Final = 10
"""Time limit of a look-up: far longer than it takes, and long enough for a rebuild to swap tables."""


class Lookups:
    """Prepared statements on connections in auto-commit mode; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._idle: deque[Cursor[tuple[Any, ...]]] = deque()
        self._open: set[Cursor[tuple[Any, ...]]] = set()
        """Those of `_idle`, and those that are in use."""
        self._closed = threading.Event()
        self._gate = LockGate()

    def rows(self, statement: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that only reads.

        Raises:
            ReadTimeoutError: It took longer than a look-up may.
            ReadCancelledError: Nobody waits for the answer any more.
            StoreUnavailableError: The store cannot do its work. A locked table is reported after five
                seconds, or at once while another look-up of the kind waits for the lock.
            ClosedError: The service has been closed.
        """
        with self._gate.passing(statement), store_reached(self._application.reading):
            return self._rows(statement, parameters)

    def _rows(self, statement: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        while self._idle:
            try:
                cursor = self._idle.pop()
            except IndexError:  # another thread took the last one
                break
            if not _connection(
                cursor
            ).is_alive():  # the server has closed it meanwhile, and perhaps the others
                self._drop(cursor)
                continue
            try:
                return self._ask(cursor, statement, parameters)
            except psycopg.OperationalError:
                if not cursor.connection.broken:
                    raise
                break  # it was closed meanwhile: a statement that only reads may be repeated
        if self._closed.is_set():
            raise ClosedError
        connection = self._application.connect(answer_within=_ANSWER_SECONDS)
        limits = f"SET lock_timeout = '{READERS_LOCK_TIMEOUT}'; SET statement_timeout = '%d s'"
        connection.execute(limits.encode() % _STATEMENT_SECONDS)
        cursor = connection.cursor(row_factory=tuple_row)
        self._open.add(cursor)
        return self._ask(cursor, statement, parameters)

    def use(self) -> PoolUse:
        """Return the use of the connections."""
        idle = len(self._idle)  # first: a cursor leaves `_idle` before it leaves `_open`
        return PoolUse("look-ups", max(len(self._open), idle), idle, None, 0)

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        while self._idle:
            self._drop(self._idle.pop())

    def _ask(
        self, cursor: Cursor[tuple[Any, ...]], statement: LiteralString, parameters: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        budget = current_budget()
        try:
            with (
                nullcontext()
                if budget is None
                else budget.stoppable(partial(stop_statement, cursor.connection))
            ):
                found = cursor.execute(statement, parameters, prepare=True).fetchall()
        except psycopg.errors.QueryCanceled as error:
            self._drop(cursor)
            if budget is not None and budget.is_cancelled:
                raise ReadCancelledError from error
            raise ReadTimeoutError(_STATEMENT_SECONDS) from error
        except psycopg.errors.LockNotAvailable:
            self._keep(cursor)  # nothing is wrong with the connection
            raise
        except BaseException:
            self._open.discard(cursor)
            if not cursor.connection.broken:
                cursor.connection.close()
            raise
        self._keep(cursor)
        return found

    def _keep(self, cursor: Cursor[tuple[Any, ...]]) -> None:
        _connection(cursor).used = time.monotonic()
        budget = current_budget()
        # The request to stop a statement could come late, and hit the next user of the connection.
        is_stopped = budget is not None and budget.is_cancelled
        if not is_stopped and len(self._idle) < _KEPT and not self._closed.is_set():
            self._idle.append(cursor)
        else:
            self._drop(cursor)

    def _drop(self, cursor: Cursor[tuple[Any, ...]]) -> None:
        self._open.discard(cursor)
        cursor.connection.close()


def _connection(cursor: Cursor[tuple[Any, ...]]) -> StoreConnection:
    assert isinstance(cursor.connection, StoreConnection)  # noqa: S101 - `connect` makes no other
    return cursor.connection
