"""Connections to PostgreSQL: their settings, and the detection of dead ones.

An idle connection can die in three ways. The server or a proxy closes it: its socket shows that without a
message. A firewall forgets it: the first message fails, so a connection that was idle for a while is tested
with an empty query. The other machine vanishes: no answer ever comes, so every wait has a limit.
"""

import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg
from eventsourcing.postgres import ConnectionPool
from psycopg import Connection, conninfo, pq
from psycopg.abc import RV, PQGen
from psycopg.rows import DictRow, dict_row
from psycopg_pool import PoolTimeout

from offerlog_application.ports.store_trouble import StoreTrouble, TroubleCounts
from offerlog_infrastructure.observability.waiting import AnnouncedWait, announced
from offerlog_infrastructure.postgres.errors import trouble_of
from offerlog_infrastructure.postgres.local_disk import LocalDisk

CONNECT_SECONDS: Final = 5
"""Time limit of one attempt to connect."""

_UNACKNOWLEDGED_MS: Final = 15_000
"""Sent data that stays unacknowledged for so long ends a connection, on both sides."""

_PING_SECONDS: Final = 5.0
"""Time limit for the answer to the empty query."""

_FRESH_SECONDS: Final = 1.0
"""A connection that was used this recently is not tested."""

_END_SECONDS: Final = 5.0
"""Seconds that a thread which was asked to end may still wait for an answer."""

_AWAY_SECONDS: Final = 5.0
"""Seconds for which a caller waits for an unreachable server; for a busy pool it waits longer."""

_RETRY_SECONDS: Final = 0.5
"""Seconds after which a pool tries to reconnect, and so its delay after the server is back."""

_ANSWER: Final = "PostgreSQL to answer"
"""Names the wait for a statement in announcements."""

_LIBPQ: Final[dict[str, str | int]] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": _UNACKNOWLEDGED_MS,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "fallback_application_name": "offerlog",
}
"""Defaults, which the address may override."""

_SESSION: Final = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "default_transaction_isolation": r"read\ committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # The server's side: a session whose client has vanished must not hold locks for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(_UNACKNOWLEDGED_MS),
}
"""Settings that the statements rely on, whatever the server, database or role is set to."""

_SET_DATES_AND_ZONE: Final = b"SET datestyle TO 'ISO'; SET timezone TO 'UTC'; "
"""libpq sends PGDATESTYLE and PGTZ after the settings above, so these two are set again."""

_SET_CLIENT_CHECK: Final = b"SET client_connection_check_interval TO '5s'"
"""Ends a statement when its client has gone. Not every operating system supports it."""


def connection_arguments(
    dsn: str, schema: str, lock_timeout: str = "0", *, generic_plans: bool = False
) -> dict[str, Any]:
    """Return the arguments of `StoreConnection.connect`.

    Args:
        dsn: The server's address; its time-outs and keepalives override the defaults.
        schema: The search path of statements.
        lock_timeout: How long a statement waits for a lock, as PostgreSQL writes it; "0" is for ever.
        generic_plans: Whether prepared statements keep one plan. For a statement on 16 partitions, a plan for
            each execution takes more time than most executions do.
    """
    parts: dict[str, Any] = {**_LIBPQ, **conninfo.conninfo_to_dict(dsn)}
    settings = {"search_path": schema, "lock_timeout": lock_timeout, **_SESSION}
    settings["plan_cache_mode"] = "force_generic_plan" if generic_plans else "auto"
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    parts["options"] = f"{parts.get('options') or ''} {options}".strip()
    parts["client_encoding"] = "UTF8"
    return {**parts, "row_factory": dict_row}


class StoreConnection(Connection[DictRow]):
    """A connection with a limit on every wait, and a test whether it is alive.

    Attributes:
        answer_within: How long to wait for an answer, in seconds; None for as long as it takes.
        used: The time of its last use, by the monotonic clock.
        opened: The time when it was opened, by the same clock; infinite before `prepare`.
    """

    answer_within: float | None = None
    used: float = 0.0
    opened: float = math.inf

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._ending = threading.Lock()
        self._server: str | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as the driver does, for at most `answer_within` unless another limit is given.

        Raises:
            OperationalError: No answer came in time; the connection is closed.
        """
        with announced(_ANSWER, self.answer_within if timeout is None else timeout):
            if timeout is not None or self.answer_within is None:
                return super().wait(gen, interval, timeout)
            try:
                return super().wait(gen, interval, self.answer_within)
            except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - the driver has no public name for it
                self.close()
                raise psycopg.OperationalError(
                    f"the server has not answered within {self.answer_within:.0f} seconds"
                ) from error

    def close(self) -> None:
        """Close the connection."""
        with self._ending:  # its socket's number is free then, and may be another socket's at once
            super().close()

    def cut(self) -> None:
        """End the connection under another thread that waits in it; that thread gets an OperationalError."""
        with (
            self._ending,
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self.pgconn.socket)) as end,
        ):
            end.shutdown(socket.SHUT_RDWR)

    def prepare(self, idle_in_transaction_seconds: float) -> None:
        """Apply the settings that options cannot; the connection is then in auto-commit mode."""
        self.autocommit = True
        limit = b"SET idle_in_transaction_session_timeout TO '%dms'; " % (idle_in_transaction_seconds * 1000)
        self.answer_within = _PING_SECONDS
        try:
            self.execute(_SET_DATES_AND_ZONE + limit + _SET_CLIENT_CHECK)
        except psycopg.errors.InvalidParameterValue:
            self.execute(_SET_DATES_AND_ZONE + limit)
        self.answer_within = None
        self.opened = time.monotonic()

    @property
    def server(self) -> str:
        """The server behind the connection: the moment of its start. A copy that takes over has another.

        The first use asks the server.
        """
        # Not a cached_property: up to Python 3.11 it has one lock for all connections, so that a server that
        # hangs would hold up the connections to all others.
        if self._server is not None:
            return self._server
        row = self.execute("SELECT pg_postmaster_start_time()::text AS started").fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        self._server = str(row["started"])
        return self._server

    def is_alive(self) -> bool:
        """Return whether the connection is alive, as far as can be told.

        Call it only while no statement is running. Sends an empty query if it was idle for a while.
        """
        if self.closed:
            return False
        readable = select.poll()
        readable.register(self.pgconn.socket, select.POLLIN)
        try:
            if readable.poll(0):  # an idle server sends nothing but a notice or the end
                self.pgconn.consume_input()
                if self.pgconn.status != pq.ConnStatus.OK or readable.poll(0):
                    return False
            if time.monotonic() - self.used > _FRESH_SECONDS:
                limit, self.answer_within = self.answer_within, _PING_SECONDS
                try:
                    self.execute("")
                finally:
                    self.answer_within = limit
                self.used = time.monotonic()
        except psycopg.Error:
            return False
        return True


def await_end(thread: threading.Thread, connection: Callable[[], StoreConnection | None]) -> None:
    """Wait until a thread has ended that was asked to; if it waits for an answer, cut its connection.

    Args:
        thread: The thread. Nothing is lost if its transaction is rolled back.
        connection: Returns the connection that it uses now, if any.
    """
    thread.join(_END_SECONDS)
    while thread.is_alive():
        used = connection()
        if used is not None:
            used.cut()
        thread.join(_RETRY_SECONDS)


class StorePool(ConnectionPool[StoreConnection]):
    """A pool that lends no dead connection and reconnects as soon as the server is back.

    Args:
        arguments: The arguments of `StoreConnection.connect`.
        least: The number of connections to keep open.
        most: The most connections.
        patience: How long a caller waits while all connections are in use, in seconds.
        answer_within: `StoreConnection.answer_within` of every lent connection.
        prepare: Sets up a new connection.
        troubles: Counts failed calls.
        disk: The disk of the database.

    Attributes:
        troubles: As given.
        disk: As given.
        find_silence: Returns why the server is known not to answer; None where it is not known.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        *,
        least: int,
        most: int,
        patience: float,
        answer_within: float | None,
        prepare: Callable[[StoreConnection], None],
        troubles: TroubleCounts,
        disk: LocalDisk,
    ) -> None:
        self.troubles = troubles
        self.disk = disk
        self._answer_within = answer_within
        self._trouble: Exception | None = None
        self._trouble_at = 0.0
        self.find_silence: Callable[[], Exception | None] = lambda: None
        self._lent: set[StoreConnection] = set()
        super().__init__(
            kwargs=arguments,
            connection_class=StoreConnection,
            configure=prepare,
            min_size=least,
            max_size=most,
            timeout=patience,
            reconnect_timeout=_RETRY_SECONDS,
            open=False,
        )

    def getconn(self, timeout: float | None = None) -> StoreConnection:
        """Return a live connection; dead ones are replaced.

        Raises:
            PoolTimeout: None was free in time; the message gives the reason.
        """
        patience = self.timeout if timeout is None else timeout
        with announced("a connection to PostgreSQL", patience) as wait:
            return self._get_alive(patience, wait)

    def _get_alive(self, patience: float, wait: AnnouncedWait) -> StoreConnection:
        began = time.monotonic()
        deadline = began + patience
        while True:
            if (silence := self.find_silence()) is not None:
                raise PoolTimeout(f"the server does not answer: {silence}") from silence
            left = deadline - time.monotonic()
            try:
                # Short rounds: each makes the pool try to connect again, so its delay does not grow.
                connection = super().getconn(timeout=min(left, _RETRY_SECONDS))
            except PoolTimeout as error:
                waited, trouble = time.monotonic() - began, self._trouble
                why = wait.reason = "all connections are in use" if trouble is None else str(trouble)
                is_disk_full = self._trouble_at > began and self._is_disk_full(trouble)
                away = 0.0 if is_disk_full else _AWAY_SECONDS
                if left > _RETRY_SECONDS and (trouble is None or waited < away):
                    continue
                raise PoolTimeout(f"no connection in {waited:.0f} seconds: {why}") from trouble or error
            self._lent.add(connection)
            if connection.is_alive():
                connection.answer_within = self._answer_within
                return connection
            connection.close()
            self.putconn(connection)  # the pool then opens another one

    def _is_disk_full(self, trouble: Exception | None) -> bool:
        if trouble is None:
            return False
        return trouble_of(trouble) is StoreTrouble.DISK_FULL or self.disk.has_no_room_for_wal

    def putconn(self, conn: StoreConnection) -> None:
        """Take a connection back."""
        conn.used = time.monotonic()
        self._lent.discard(conn)
        super().putconn(conn)

    def close(self, timeout: float = _END_SECONDS) -> None:
        """Close the pool; do not wait for its threads if they wait for a server that does not answer."""
        super().close(0.0 if self.find_silence() is not None else timeout)

    def cut(self) -> None:
        """End all lent connections under those who wait in them; they get an OperationalError."""
        for connection in [*self._lent]:
            connection.cut()

    def _connect(self, timeout: float | None = None) -> StoreConnection:
        try:
            connection = super()._connect(timeout)
        except Exception as error:
            self._trouble, self._trouble_at = error, time.monotonic()
            raise
        self._trouble = None
        connection.used = time.monotonic()
        return connection


def open_unlimited(dsn: str, schema: str) -> StoreConnection:
    """Open a connection outside the pools, in auto-commit mode, without a limit on answers.

    Raises:
        OperationalError: The server cannot be reached.
    """
    return open_connection(connection_arguments(dsn, schema), 0)


def open_connection(arguments: dict[str, Any], idle_in_transaction_seconds: float) -> StoreConnection:
    """Open a connection outside the pools, in auto-commit mode.

    Args:
        arguments: The result of `connection_arguments`.
        idle_in_transaction_seconds: The server ends a transaction that is idle for so long; 0 for never.

    Raises:
        OperationalError: The server cannot be reached.
    """
    with announced(f"a connection to PostgreSQL{_place_of(arguments)}", _connect_limit(arguments)):
        connection = StoreConnection.connect(**arguments)
        connection.prepare(idle_in_transaction_seconds)
    return connection


def _place_of(arguments: Mapping[str, Any]) -> str:
    """Describe where the server is, without user and password."""
    host = arguments.get("host")
    return f" at {host}" if host else ""


def _connect_limit(arguments: Mapping[str, Any]) -> float | None:
    """Return the time limit of an attempt; None for ever, or if the address holds no number."""
    limit = str(arguments["connect_timeout"])
    return float(limit) or None if limit.isdecimal() else None


def lift_answer_limit(connection: Connection[Any]) -> None:
    """Lift the limit on answers of a lent connection, until it is given back."""
    assert isinstance(connection, StoreConnection)  # noqa: S101 - the pools make no other
    connection.answer_within = None
