"""Figures about a store, read by statements whose cost does not grow with the log or the backlog."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import Connection, Cursor
from psycopg.rows import dict_row, tuple_row

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.store_figures import (
    MAX_COUNTED,
    Backlog,
    LastBackup,
    LastCheckpoint,
    PoolUse,
    StoreClient,
    StoredCheckpoint,
    StoreFigures,
)
from offerlog_domain.context import Rules
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.archive.shrinking import select_archive
from offerlog_infrastructure.postgres.connections import StorePool
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.feed.subscriptions import read_subscriptions
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.reads.lists import PostgresReadSide
from offerlog_infrastructure.postgres.reads.progress import read_statuses
from offerlog_infrastructure.postgres.refusals.tallies import slot_of
from offerlog_infrastructure.postgres.tree.progress import read_progress
from offerlog_infrastructure.postgres.webhooks.store import read_webhooks

_SELECT_STORE: LiteralString = f"""
    SELECT current_setting('server_version'), pg_database_size(current_database()),
        coalesce(({SELECT_LAST_POSITION}), 0),
        (SELECT min(applied_at) FROM migrations),
        (SELECT coalesce(sum(letters), 0)::bigint FROM dead_letter_counts)
"""
_SELECT_ORGANIZATIONS: LiteralString = "SELECT organization FROM organizations ORDER BY 1"
_COUNT_PARKED: LiteralString = """
    SELECT count(*), min(parked_at) FROM (
        SELECT parked_at FROM (
            SELECT parked_at FROM parked_signals UNION ALL SELECT parked_at FROM parked_short_signals
        ) AS waiting
        WHERE parked_at <= %s ORDER BY parked_at LIMIT %s
    ) AS found
"""
_COUNT_DEADLINES: LiteralString = """
    SELECT count(*), min(withdrawn_at) FROM (
        SELECT withdrawn_at FROM current_offers WHERE withdrawn_at <= %s ORDER BY withdrawn_at LIMIT %s
    ) AS found
"""
_COUNT_REFUSALS: LiteralString = """
    SELECT reason, coalesce(sum(refusals) FILTER (WHERE slot >= %(day)s), 0)::bigint,
        coalesce(sum(refusals) FILTER (WHERE slot < %(day)s), 0)::bigint
    FROM organizations o CROSS JOIN LATERAL (
        SELECT slot, reason, refusals FROM refusal_counts c
        WHERE c.organization = o.organization AND slot >= %(week)s
        UNION ALL
        SELECT slot, reason, refusals FROM refusal_tallies t
        WHERE t.organization = o.organization AND slot >= %(week)s
    ) AS counted
    GROUP BY reason ORDER BY reason
"""
"""Reads by organization, because the counts of all time have an index by organization alone."""

_SELECT_CHECKPOINTS: LiteralString = """
    WITH RECURSIVE origins AS (
        (SELECT origin FROM checkpoints ORDER BY origin LIMIT 1)
        UNION ALL
        SELECT (SELECT c.origin FROM checkpoints c WHERE c.origin > o.origin ORDER BY c.origin LIMIT 1)
        FROM origins o WHERE o.origin IS NOT NULL
    )
    SELECT c.origin, c.size, c.signed_at, c.note FROM origins o CROSS JOIN LATERAL (
        SELECT * FROM checkpoints k WHERE k.origin = o.origin ORDER BY k.size DESC LIMIT 100
    ) AS c
    ORDER BY c.signed_at DESC, c.size DESC LIMIT 100
"""
"""Steps from name to name: there are few names, and many checkpoints of each."""

_SELECT_KEYS: LiteralString = """
    SELECT k.id, count(o.organization)
    FROM key_encryption_keys k LEFT JOIN organizations o ON o.kek = k.number
    GROUP BY k.id ORDER BY k.id
"""
_SELECT_BACKUP: LiteralString = "SELECT made_at, position, file_bytes FROM last_backup"
_SELECT_CLIENTS: LiteralString = """
    SELECT application_name, host(client_addr), count(*), min(backend_start) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    GROUP BY 1, 2 ORDER BY 1, 2
"""
_DAY: Final = timedelta(days=1)


def read_store_figures(
    connection: Connection[Any], mapper: EventMapper, files: ArchivedFiles, now: datetime, rules: Rules
) -> StoreFigures:
    """Read the figures.

    Args:
        connection: A connection whose search path has the store; its transactions are its own business.
        mapper: Reads events.
        files: Reads archived ones.
        now: The time.
        rules: The periods after which a deadline or a parking is overdue.

    Raises:
        psycopg.Error: The server cannot answer.
    """
    with (
        connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        connection.cursor(row_factory=dict_row) as others,
    ):
        archived = ArchivedLag(connection, files)
        server, size, position, made_at, dead = _one(cursor, _SELECT_STORE)
        refusals = _count_refusals(cursor, now)
        signed = [
            StoredCheckpoint(origin, size, signed_at, _cosigners(origin, note))
            for origin, size, signed_at, note in cursor.execute(_SELECT_CHECKPOINTS).fetchall()
        ]
        backup = cursor.execute(_SELECT_BACKUP).fetchone()
        return StoreFigures(
            taken_at=now,
            made_at=made_at,
            server=server,
            database_bytes=size,
            organizations=[name for (name,) in cursor.execute(_SELECT_ORGANIZATIONS).fetchall()],
            position=position,
            projections=read_statuses(cursor, mapper, now, archived),
            dead_letters=dead,
            parked=_count(cursor, _COUNT_PARKED, now),
            overdue_parkings=_count(cursor, _COUNT_PARKED, now - rules.parking_time),
            overdue_deadlines=_count(cursor, _COUNT_DEADLINES, now - rules.deadline_grace),
            refusals={reason: count for reason, count, _ in refusals if count},
            usual_refusals={reason: count for reason, _, count in refusals if count},
            tree=read_progress(cursor, mapper, now),
            checkpoint=_newest(signed),
            cosigned=_newest([one for one in signed if one.cosigners]),
            signed=signed,
            subscriptions=read_subscriptions(others, mapper, now, archived),
            webhooks=read_webhooks(others, mapper, now, archived),
            keys=dict(cursor.execute(_SELECT_KEYS).fetchall()),
            backup=None if backup is None else LastBackup(*backup),
            archive=select_archive(connection),
            clients=[StoreClient(*row) for row in cursor.execute(_SELECT_CLIENTS).fetchall()],
        )


class PostgresStoreFigures:
    """The application's `StoreFiguresReader`, over the pool of reports and lists; thread-safe.

    A method has the errors of the method of `StoreFiguresReader`, and those that it names.

    Args:
        application: The log.
        clock: The service's clock.
        reads: Makes look-ups on connections that are in no pool.
    """

    def __init__(self, application: OfferlogApplication, clock: Clock, reads: PostgresReadSide) -> None:
        self._application = application
        self._clock = clock
        self._reads = reads

    def read_figures(self, rules: Rules) -> StoreFigures:
        """Read the figures."""
        datastore = self._application.reading
        with store_reached(datastore), datastore.get_connection() as connection:
            mapper, files = self._application.event_mapper, self._application.archived_files
            return read_store_figures(connection, mapper, files, self._clock.now(), rules)

    def read_each(self, rules: Rules) -> Sequence[StoreFigures]:
        """Read the figures of the only store."""
        return [self.read_figures(rules)]

    def pools(self) -> Sequence[PoolUse]:
        """Return the use of the pools, without asking the store."""
        application = self._application
        named = {"writing": application.log.datastore.pool, "reading": application.reading.pool}
        used = [_use_of(name, pool) for name, pool in named.items() if isinstance(pool, StorePool)]
        return [*used, self._reads.use_of_look_ups()]


def _use_of(name: str, pool: StorePool) -> PoolUse:
    stats: Mapping[str, int] = pool.get_stats()
    return PoolUse(
        name,
        stats.get("pool_size", 0),
        stats.get("pool_available", 0),
        stats.get("pool_max", 0),
        stats.get("requests_waiting", 0),
    )


def _one(cursor: Cursor[Any], statement: LiteralString, *values: object) -> tuple[Any, ...]:
    row = cursor.execute(statement, values).fetchone()
    assert row is not None  # noqa: S101 - an aggregate gives a row
    return tuple(row)


def _count(cursor: Cursor[Any], statement: LiteralString, until: datetime) -> Backlog:
    count, oldest = _one(cursor, statement, until, MAX_COUNTED + 1)
    return Backlog(min(count, MAX_COUNTED), count > MAX_COUNTED, oldest)


def _count_refusals(cursor: Cursor[Any], now: datetime) -> Sequence[tuple[str, int, int]]:
    """Count the refusals of the last day and of the week before, by reason."""
    slots = {"day": slot_of(now - _DAY), "week": slot_of(now - 8 * _DAY)}
    return cursor.execute(_COUNT_REFUSALS, slots).fetchall()


def _newest(signed: Sequence[StoredCheckpoint]) -> LastCheckpoint | None:
    """Return the first of some checkpoints; None without one."""
    return LastCheckpoint(*signed[0][:3]) if signed else None


def _cosigners(origin: str, note: str) -> frozenset[str]:
    """Return the names under which a note is signed, but for its log's."""
    names = (line.split()[1:2] for line in note.rpartition("\n\n")[2].splitlines())
    return frozenset(name for found in names for name in found if name != origin)
