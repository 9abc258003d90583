"""The eventsourcing `Application` over PostgreSQL: our mapper, our recorders, our tables."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID
from weakref import WeakSet

from eventsourcing.application import Application
from eventsourcing.persistence import InfrastructureFactory, Mapper, ProgrammingError
from eventsourcing.postgres import PostgresFactory, PostgresTrackingRecorder
from eventsourcing.utils import Environment, EnvType, strtobool

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.store_trouble import TroubleCounts
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.connections import (
    StoreConnection,
    StorePool,
    connection_arguments,
    open_connection,
)
from offerlog_infrastructure.postgres.liveness import Liveness
from offerlog_infrastructure.postgres.local_disk import LocalDisk
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.recorders import LogRecorder, PositionRecorder, StreamRecorder
from offerlog_infrastructure.postgres.log.visitors import VisitorKeys
from offerlog_infrastructure.postgres.store_keys import StoreKeys

_LOCK_TIMEOUT = "100ms"
"""Wait of an append for a writer that holds the next version of the same visitor-offer. It is short, as the
whole group waits; the submission concerned is then tried again by itself."""

_WRITERS_ANSWER_SECONDS = 30.0
"""Seconds for which a writer waits for an answer before it asks for the outcome of its transaction."""

_MOVERS_LOCK_TIMEOUT = "10s"
"""Wait of a step in the move of a slice for another one, or for a rebuild that swaps tables."""

_READERS_ANSWER_SECONDS = 120.0
"""Seconds for which a reader waits for an answer before its connection counts as lost."""

_IDLE_IN_TRANSACTION_SECONDS = "10"
"""After this time the server ends a transaction whose client hangs between two statements. An append is one
message and has no such moment; see `hung_sessions`."""


READERS_LOCK_TIMEOUT = "5s"
"""Wait of a reader for the tables while a rebuild swaps them: longer than a swap ever takes."""

_READING_POOL = {"POSTGRES_POOL_SIZE": "1", "POSTGRES_MAX_OVERFLOW": "10"}
"""One connection for each reading thread of the HTTP service, so no kind of read waits for another."""


class LogFactory(PostgresFactory):
    """A factory of this package's recorders, over a pool that takes a whole connection string."""

    aggregate_recorder_class = StreamRecorder
    application_recorder_class = LogRecorder
    tracking_recorder_class = PositionRecorder

    def __init__(
        self,
        env: Environment,
        dsn: str,
        lock_timeout: str,
        answer_within: float,
        *,
        troubles: TroubleCounts,
        disk: LocalDisk,
        generic_plans: bool = False,
    ) -> None:
        super().__init__(env)
        datastore = self.datastore
        library_pool = datastore.pool  # the library's own; never opened, read for its settings
        idle_in_transaction = datastore.idle_in_transaction_session_timeout
        pool = StorePool(
            connection_arguments(dsn, datastore.schema, lock_timeout, generic_plans=generic_plans),
            least=library_pool.min_size,
            most=library_pool.max_size,
            patience=library_pool.timeout,
            answer_within=answer_within,
            prepare=lambda connection: connection.prepare(idle_in_transaction),
            troubles=troubles,
            disk=disk,
        )
        datastore.pool = pool  # type: ignore[assignment] # it lends a subclass of what the library expects


class OfferlogApplication(Application[UUID]):
    """The log as the library sees it: events, repository and notification log, in tables of our migrations.

    Args:
        dsn: The connection string.
        schema: The schema of the tables.
        env: Settings of the library.
        folder: The folder of the database, where it is on this machine and known.
        keyring: Encrypts the keys of the store; None for a process that uses none of them.
        home_keys: The keys of the home, from which a shard has the secrets of organizations.

    Attributes:
        dsn: The connection string, password included: do not log it.
        keys: The keys of the store, shared by all that need them.
        visitor_keys: The keys of its visitors, shared likewise.
        reading: A separate pool for reports and lists, so that a slow one never delays the writer.
        archived_files: The files of the archive, shared likewise.
        troubles: The number of failed calls of the store, by reason.
    """

    name = "offerlog"
    env: ClassVar[dict[str, str]] = {
        "CREATE_TABLE": "n",
        "POSTGRES_POOL_SIZE": "3",
        "POSTGRES_MAX_OVERFLOW": "2",
        "POSTGRES_IDLE_IN_TRANSACTION_SESSION_TIMEOUT": _IDLE_IN_TRANSACTION_SECONDS,
    }

    def __init__(
        self,
        dsn: str,
        schema: str,
        env: EnvType | None = None,
        *,
        folder: Path | None = None,
        keyring: Keyring | None = None,
        home_keys: StoreKeys | None = None,
    ) -> None:
        self.dsn = dsn
        self._disk = LocalDisk(folder)
        self.troubles = TroubleCounts()
        super().__init__({**(env or {}), "POSTGRES_SCHEMA": schema})
        reading = Environment(self.name, {**self.env, **_READING_POOL})
        self.reading = LogFactory(
            reading,
            dsn,
            READERS_LOCK_TIMEOUT,
            _READERS_ANSWER_SECONDS,
            troubles=self.troubles,
            disk=self._disk,
        ).datastore
        self.keys = StoreKeys(self.log.datastore, keyring, home_keys)
        self.visitor_keys = VisitorKeys(self.keys)
        self.archived_files = ArchivedFiles()
        self._liveness: Liveness | None = None
        self._outside: WeakSet[StoreConnection] = WeakSet()
        self._outside_lock = threading.Lock()
        for pool in self._pools:
            pool.open(wait=False)  # else its first call would open it, even after `close`

    @property
    def _pools(self) -> Sequence[StorePool]:
        pools: Sequence[Any] = (self.log.datastore.pool, self.reading.pool)
        return pools

    def watch_server(self, name: str) -> None:
        """Watch from now on whether the server answers.

        Once it does not, calls fail: those that wait for an answer, and each new one at once. Work without a
        limit on answers, such as a rebuild, goes on to wait.

        Args:
            name: Names the server in the log.
        """
        arguments = connection_arguments(self.dsn, self.log.datastore.schema)
        self._liveness = Liveness(name, arguments, self._cut)
        for pool in self._pools:
            pool.find_silence = self._liveness.find_silence

    def find_silence(self) -> StoreUnavailableError | None:
        """Return why the server is known not to answer; None while it answers, or is not watched."""
        silence = None if self._liveness is None else self._liveness.find_silence()
        return None if silence is None else StoreUnavailableError(str(silence))

    def _cut(self) -> None:
        for pool in self._pools:
            pool.cut()
        with self._outside_lock:
            outside = [*self._outside]
        for connection in outside:
            connection.cut()

    def close(self) -> None:
        """Close both pools."""
        super().close()
        self.reading.close()
        if self._liveness is not None:
            self._liveness.close()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Return settings from the code alone; only `settings` reads the process environment.

        Raises:
            ProgrammingError: The library's database functions are switched on; with them, readers that follow
                the log miss events.
        """
        merged = {
            # The pool takes the whole connection string; these only satisfy the library's checks.
            "POSTGRES_DBNAME": "-",
            "POSTGRES_HOST": "-",
            "POSTGRES_USER": "-",
            "POSTGRES_PASSWORD": "-",
            **type(self).env,
            **(env or {}),
        }
        if strtobool(merged.get("POSTGRES_ENABLE_DB_FUNCTIONS") or "no"):
            raise ProgrammingError(
                "POSTGRES_ENABLE_DB_FUNCTIONS must stay off: with it, readers of the log miss events"
            )
        return Environment(name, merged)

    def construct_factory(self, env: Environment) -> InfrastructureFactory[PostgresTrackingRecorder]:  # type: ignore[override] # the library narrows it so
        """Return the factory of our recorders."""
        return LogFactory(
            env,
            self.dsn,
            _LOCK_TIMEOUT,
            _WRITERS_ANSWER_SECONDS,
            troubles=self.troubles,
            disk=self._disk,
            generic_plans=True,
        )

    def construct_mapper(self) -> Mapper[UUID]:
        """Return the mapper, which stores stable names and versions instead of import paths."""
        return EventMapper()

    def connect(self, answer_within: float | None = None) -> StoreConnection:
        """Open a connection outside the pools, set up like theirs, in auto-commit mode.

        If the process is stopped inside a transaction, the server ends the transaction and its locks.

        Args:
            answer_within: How long to wait for an answer, in seconds; None for ever.

        Raises:
            OperationalError: The server cannot be reached, or is known not to answer.
        """
        self._check_silence()
        schema = self.log.datastore.schema
        arguments = connection_arguments(self.dsn, schema, _LOCK_TIMEOUT, generic_plans=True)
        connection = open_connection(arguments, float(_IDLE_IN_TRANSACTION_SECONDS))
        connection.answer_within = answer_within
        return connection if answer_within is None else self._add_outside(connection)

    def connect_to_move(self, idle_seconds: float = float(_IDLE_IN_TRANSACTION_SECONDS)) -> StoreConnection:
        """Open a connection for a step in the move of a slice, in auto-commit mode.

        A statement may last for as long as it likes, unless the server is watched and does not answer.

        Args:
            idle_seconds: The server ends a transaction that is idle for so long; 0 for never.

        Raises:
            OperationalError: The server cannot be reached, or is known not to answer.
        """
        self._check_silence()
        arguments = connection_arguments(self.dsn, self.log.datastore.schema, _MOVERS_LOCK_TIMEOUT)
        return self._add_outside(open_connection(arguments, idle_seconds))

    def _check_silence(self) -> None:
        if self._liveness is not None and (silence := self._liveness.find_silence()) is not None:
            raise silence

    def _add_outside(self, connection: StoreConnection) -> StoreConnection:
        """Let a connection be cut once the server does not answer."""
        with self._outside_lock:
            self._outside.add(connection)
        return connection

    @property
    def log(self) -> LogRecorder:  # type: ignore[override] # the library's `log` is a deprecated alias
        """The recorder of the log, with its own type."""
        assert isinstance(self.recorder, LogRecorder)  # noqa: S101 - LogFactory makes no other
        return self.recorder

    @property
    def event_mapper(self) -> EventMapper:
        """The mapper, with its own type."""
        assert isinstance(self.mapper, EventMapper)  # noqa: S101 - construct_mapper makes no other
        return self.mapper

    @property
    def positions(self) -> PositionRecorder:
        """The positions of the projections."""
        recorder = self.factory.tracking_recorder()
        assert isinstance(recorder, PositionRecorder)  # noqa: S101 - LogFactory makes no other
        return recorder
