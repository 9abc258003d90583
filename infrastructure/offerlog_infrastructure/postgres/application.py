"""The eventsourcing `Application` over PostgreSQL: our mapper, our recorders, our tables."""

from typing import ClassVar
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import InfrastructureFactory, Mapper, ProgrammingError
from eventsourcing.postgres import PostgresFactory, PostgresTrackingRecorder
from eventsourcing.utils import Environment, EnvType, strtobool
from psycopg import Connection, conninfo
from psycopg.rows import DictRow

from offerlog_infrastructure.postgres.codec import FactMapper
from offerlog_infrastructure.postgres.recorders import LogRecorder, PositionRecorder, StreamRecorder

_LOCK_TIMEOUT = "250ms"
"""How long an append waits for another writer that holds the same visitor-offer's next version; whoever
else is in the group waits with it, so it is short, and the one concerned is tried again by itself."""

_IDLE_IN_TRANSACTION_SECONDS = "10"
"""After which the server ends a writer that hangs inside its transaction and so delays readers."""


READERS_LOCK_TIMEOUT = "5s"
"""How long a reader waits for the tables while a rebuild switches them: longer than a switch ever takes."""

_READING = {"POSTGRES_POOL_SIZE": "1", "POSTGRES_MAX_OVERFLOW": "5"}


class LogFactory(PostgresFactory):
    """Makes our recorders over a pool that takes a whole connection string."""

    aggregate_recorder_class = StreamRecorder
    application_recorder_class = LogRecorder
    tracking_recorder_class = PositionRecorder

    def __init__(self, env: Environment, dsn: str, lock_timeout: str = _LOCK_TIMEOUT) -> None:
        super().__init__(env)
        parts = conninfo.conninfo_to_dict(dsn)
        schema = self.datastore.schema
        settings = f"-c search_path={schema} -c lock_timeout={lock_timeout} -c TimeZone=UTC"
        parts["options"] = f"{parts.get('options') or ''} {settings}".strip()
        kwargs = self.datastore.pool.kwargs
        assert isinstance(kwargs, dict)  # noqa: S101 - the library passes a dict
        for name in ("dbname", "host", "port", "user", "password"):
            kwargs.pop(name)
        kwargs.update(parts, keepalives_idle=10, keepalives_interval=5, keepalives_count=3)


class OfferlogApplication(Application[UUID]):
    """The log as the library sees it: events, repository, notification log, in tables we migrate.

    Attributes:
        dsn: The connection string, password included: do not log it.
        reading: A pool of its own for reports and lists: however slow they are, the writer waits for none.
    """

    name = "offerlog"
    env: ClassVar[dict[str, str]] = {
        "CREATE_TABLE": "n",
        "POSTGRES_POOL_SIZE": "3",
        "POSTGRES_MAX_OVERFLOW": "2",
        "POSTGRES_IDLE_IN_TRANSACTION_SESSION_TIMEOUT": _IDLE_IN_TRANSACTION_SECONDS,
    }

    def __init__(self, dsn: str, schema: str, env: EnvType | None = None) -> None:
        self.dsn = dsn
        super().__init__({**(env or {}), "POSTGRES_SCHEMA": schema})
        reading = Environment(self.name, {**self.env, **_READING})
        self.reading = LogFactory(reading, dsn, READERS_LOCK_TIMEOUT).datastore
        for datastore in (self.log.datastore, self.reading):
            datastore.pool.open(wait=False)  # one never opened would open at the first call after `close`

    def close(self) -> None:
        """Close both pools."""
        super().close()
        self.reading.close()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Only what the code says: the process environment is `settings`' to read.

        Raises:
            ProgrammingError: Somebody asks for the library's database functions, which let a tailing
                reader pass over events.
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
        """Our factory over the connection string."""
        return LogFactory(env, self.dsn)

    def construct_mapper(self) -> Mapper[UUID]:
        """Stable names and versions instead of import paths."""
        return FactMapper()

    def connect(self) -> Connection[DictRow]:
        """A connection of one's own, set up as the pool's are, in auto-commit mode.

        A process that is stopped in the middle of a transaction loses it, and with it its locks.
        """
        kwargs = self.log.datastore.pool.kwargs
        assert isinstance(kwargs, dict)  # noqa: S101 - LogFactory made it
        connection: Connection[DictRow] = Connection.connect(**{**kwargs, "autocommit": True})
        connection.execute(
            f"SET idle_in_transaction_session_timeout = '{_IDLE_IN_TRANSACTION_SECONDS}s'".encode()
        )
        return connection

    @property
    def log(self) -> LogRecorder:  # type: ignore[override] # the library's `log` is a deprecated alias
        """The recorder, typed as what it is."""
        assert isinstance(self.recorder, LogRecorder)  # noqa: S101 - LogFactory makes no other
        return self.recorder

    @property
    def facts(self) -> FactMapper:
        """The mapper, typed as what it is."""
        assert isinstance(self.mapper, FactMapper)  # noqa: S101 - construct_mapper makes no other
        return self.mapper

    @property
    def positions(self) -> PositionRecorder:
        """How far each view has come."""
        recorder = self.factory.tracking_recorder()
        assert isinstance(recorder, PositionRecorder)  # noqa: S101 - LogFactory makes no other
        return recorder
