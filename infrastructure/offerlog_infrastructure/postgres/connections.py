"""How every connection to PostgreSQL is made, and how one that has died is noticed.

Three things can befall a connection that lies idle. The server or a proxy ends it: the end lies in its
socket, and one look without a message shows it. A firewall forgets it: the first message fails, so that
a connection that has been idle for a while is first tested with an empty query. The other end vanishes:
no answer comes at all, so that every wait has a limit.
"""

import math
import select
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from eventsourcing.postgres import ConnectionPool
from psycopg import Connection, conninfo, pq
from psycopg.abc import RV, PQGen
from psycopg.rows import DictRow, dict_row
from psycopg_pool import PoolTimeout

from offerlog_application.ports.store_trouble import StoreTrouble, TroubleCounts
from offerlog_infrastructure.observability.waiting import Wait, announced
from offerlog_infrastructure.postgres.errors import trouble_of
from offerlog_infrastructure.postgres.local_disk import LocalDisk

CONNECT_SECONDS: Final = 5
"""How long one attempt to connect may take."""

_UNACKNOWLEDGED_MS: Final = 15_000
"""After how long sent data that the other machine does not acknowledge ends a connection, on both sides."""

_PING_SECONDS: Final = 5.0
"""Time limit for the answer to the empty query."""

_FRESH_SECONDS: Final = 1.0
"""A connection that was used this recently is not asked first."""

_AWAY_SECONDS: Final = 5.0
"""How long a caller waits for a server that cannot be reached, where it would wait longer for a busy pool."""

_RETRY_SECONDS: Final = 0.5
"""How often a pool tries to connect while it cannot, and so how much later than the server it is back."""

_ANSWER: Final = "PostgreSQL to answer"
"""The words for the wait of a statement."""

_LIBPQ: Final[dict[str, str | int]] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": _UNACKNOWLEDGED_MS,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "fallback_application_name": "offerlog",
}
"""What holds unless the address says otherwise."""

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
    # The server's side of a connection whose client has vanished: it must not hold locks for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(_UNACKNOWLEDGED_MS),
}
"""What our statements rely on, whatever the server, the database or the role has been set to."""

_SET_DATES_AND_ZONE: Final = b"SET datestyle TO 'ISO'; SET timezone TO 'UTC'; "
"""libpq sends PGDATESTYLE and PGTZ behind the settings above, so these two are set once more."""

_SET_CLIENT_CHECK: Final = b"SET client_connection_check_interval TO '5s'"
"""A statement ends when its client has gone. Not every system that a server runs on can tell."""


def connection_arguments(dsn: str, schema: str, lock_timeout: str = "0") -> dict[str, Any]:
    """The arguments of `StoreConnection.connect`.

    Args:
        dsn: The server's address. What it says of time-outs and keepalives holds.
        schema: The schema that statements look in.
        lock_timeout: How long a statement waits for a lock, as PostgreSQL writes it; "0" is for ever.
    """
    parts: dict[str, Any] = {**_LIBPQ, **conninfo.conninfo_to_dict(dsn)}
    settings = {"search_path": schema, "lock_timeout": lock_timeout, **_SESSION}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    parts["options"] = f"{parts.get('options') or ''} {options}".strip()
    parts["client_encoding"] = "UTF8"
    return {**parts, "row_factory": dict_row}


class StoreConnection(Connection[DictRow]):
    """A connection that never waits without end and knows whether it still lives.

    Attributes:
        answer_within: How long the server may be silent when something was asked of it, in seconds;
            None for as long as it takes.
        used: When it was used last, by the monotonic clock.
        opened: When it had been opened, by the same clock; infinite before `prepare`.
    """

    answer_within: float | None = None
    used: float = 0.0
    opened: float = math.inf

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As the driver's, with `answer_within` where no other limit is given.

        Raises:
            OperationalError: No answer came in time; the connection is closed.
        """
        with announced(_ANSWER, self.answer_within if timeout is None else timeout):
            if timeout is not None or self.answer_within is None:
                return super().wait(gen, interval, timeout)
            try:
                return super().wait(gen, interval, self.answer_within)
            except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - the driver has no public name for it
                self.pgconn.finish()
                raise psycopg.OperationalError(
                    f"the server has not answered within {self.answer_within:.0f} seconds"
                ) from error

    def prepare(self, idle_in_transaction_seconds: float) -> None:
        """Set what the options of the connection cannot; in auto-commit mode afterwards."""
        self.autocommit = True
        limit = b"SET idle_in_transaction_session_timeout TO '%dms'; " % (idle_in_transaction_seconds * 1000)
        self.answer_within = _PING_SECONDS
        try:
            self.execute(_SET_DATES_AND_ZONE + limit + _SET_CLIENT_CHECK)
        except psycopg.errors.InvalidParameterValue:
            self.execute(_SET_DATES_AND_ZONE + limit)
        self.answer_within = None
        self.opened = time.monotonic()

    def is_alive(self) -> bool:
        """Whether the next statement will reach the server, as far as can be told.

        Only while nothing is under way on it. Asks the server for nothing where it has been idle for a while.
        """
        if self.closed:
            return False
        readable = select.poll()
        readable.register(self.pgconn.socket, select.POLLIN)
        try:
            if readable.poll(0):  # an idle server says nothing: it is the end, or a notice of it
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


class StorePool(ConnectionPool[StoreConnection]):
    """A pool that lends no dead connection, and is back as soon as the server is.

    Args:
        arguments: The arguments of `StoreConnection.connect`.
        least: How many connections are kept.
        most: How many there may be.
        patience: How long a caller waits for one while all are in use, in seconds.
        answer_within: Sets `StoreConnection.answer_within` whenever one is lent.
        prepare: Sets up a new connection.
        troubles: Counts the calls that fail.
        disk: The disk of the database.

    Attributes:
        troubles: As given.
        disk: As given.
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
        """A connection that lives; dead ones are replaced.

        Raises:
            PoolTimeout: There was none in time; the message says why none could be made, if that is so.
        """
        patience = self.timeout if timeout is None else timeout
        with announced("a connection to PostgreSQL", patience) as wait:
            return self._get_alive(patience, wait)

    def _get_alive(self, patience: float, wait: Wait) -> StoreConnection:
        began = time.monotonic()
        deadline = began + patience
        while True:
            left = deadline - time.monotonic()
            try:
                # Each round has the pool try to connect again: it gives up early, so that no delay grows.
                connection = super().getconn(timeout=min(left, _RETRY_SECONDS))
            except PoolTimeout as error:
                waited, trouble = time.monotonic() - began, self._trouble
                why = wait.reason = "all connections are in use" if trouble is None else str(trouble)
                is_disk_full = self._trouble_at > began and self._is_disk_full(trouble)
                away = 0.0 if is_disk_full else _AWAY_SECONDS
                if left > _RETRY_SECONDS and (trouble is None or waited < away):
                    continue
                raise PoolTimeout(f"no connection in {waited:.0f} seconds: {why}") from trouble or error
            if connection.is_alive():
                connection.answer_within = self._answer_within
                return connection
            connection.close()
            self.putconn(connection)  # which has the pool make another one

    def _is_disk_full(self, trouble: Exception | None) -> bool:
        if trouble is None:
            return False
        return trouble_of(trouble) is StoreTrouble.DISK_FULL or self.disk.has_no_room_for_wal

    def putconn(self, conn: StoreConnection) -> None:
        """Take a connection back."""
        conn.used = time.monotonic()
        super().putconn(conn)

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
    """A connection of its own, in auto-commit mode; waits as long as its statements take.

    Raises:
        OperationalError: The server cannot be reached.
    """
    return open_connection(connection_arguments(dsn, schema), 0)


def open_connection(arguments: dict[str, Any], idle_in_transaction_seconds: float) -> StoreConnection:
    """A connection apart from the pools, in auto-commit mode.

    Args:
        arguments: As `connection_arguments` gives them.
        idle_in_transaction_seconds: After how long the server ends a transaction in which nothing happens; 0
            for never.

    Raises:
        OperationalError: The server cannot be reached.
    """
    with announced(f"a connection to PostgreSQL{_place_of(arguments)}", _connect_limit(arguments)):
        connection = StoreConnection.connect(**arguments)
        connection.prepare(idle_in_transaction_seconds)
    return connection


def _place_of(arguments: Mapping[str, Any]) -> str:
    """The server's place, for people; without the user and the password."""
    host = arguments.get("host")
    return f" at {host}" if host else ""


def _connect_limit(arguments: Mapping[str, Any]) -> float | None:
    """The time limit of an attempt; None for ever, or where the address says what libpq will not take."""
    limit = str(arguments["connect_timeout"])
    return float(limit) or None if limit.isdecimal() else None


def lift_answer_limit(connection: Connection[Any]) -> None:
    """Let the statements of a lent connection take as long as they need, until it is given back."""
    assert isinstance(connection, StoreConnection)  # noqa: S101 - the pools make no other
    connection.answer_within = None
