"""The staging schema of a rebuild, beside the live one, with the bookkeeping that lets a rebuild resume.

Its tables have the names of the live tables. A connection with this schema first in its search path runs
every statement of the projections unchanged, and finds other tables, such as the log, in the live schema.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row

from offerlog_domain.stream_ids import SLICES
from offerlog_infrastructure.postgres.log.horizon import count_positions
from offerlog_infrastructure.postgres.migrations import SchemaNotMadeError
from offerlog_infrastructure.postgres.projections.tables import Projection

FINGERPRINTED: Final = ("offerlog_domain", "offerlog_application", "offerlog_infrastructure.postgres")
"""Packages whose whole source, nested packages included, decides what a projection holds."""

EVENTS_A_SLICE: Final = 20_000
_MAX_SLICES: Final = 256

_CREATE_BOOKKEEPING: LiteralString = """
    CREATE TABLE plan (
        code text NOT NULL, goal bigint NOT NULL, slices text NOT NULL, ends bigint[]
    );
    CREATE TABLE steps (
        view text PRIMARY KEY, position bigint NOT NULL, loaded boolean NOT NULL DEFAULT false
    );
    CREATE TABLE slices (
        number integer PRIMARY KEY, low uuid NOT NULL, high uuid NOT NULL,
        events bigint NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false
    );
"""

_SELECT_MAY_CREATE: LiteralString = "SELECT has_database_privilege(current_database(), 'CREATE')"

_SELECT_GRANTS: LiteralString = """
    SELECT acl.privilege_type, CASE WHEN acl.grantee <> 0 THEN pg_get_userbyid(acl.grantee) END,
        acl.is_grantable
    FROM pg_class CROSS JOIN LATERAL aclexplode(relacl) AS acl
    WHERE oid = %s::regclass AND acl.grantee <> relowner
"""

_SELECT_UNSAMPLED: LiteralString = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attstattarget = 0 AND attnum > 0 AND NOT attisdropped
"""

_SELECT_GOAL: Final = sql.SQL("SELECT goal FROM {} AS p WHERE code = %s AND to_jsonb(p) ->> 'slices' = %s")
"""An older offerlog has made the table without the column."""

_SELECT_SLICES: Final = sql.SQL("""
    SELECT concat(
        (SELECT string_agg(slice || ' ' || epoch || ' ' || is_owned, ',' ORDER BY slice) FROM {slices}), '/',
        (SELECT string_agg(slice || ' ' || epoch, ',' ORDER BY slice) FROM {leaving})
    )
""")
_SELECT_END: Final = sql.SQL("""
    SELECT id FROM (
        (SELECT originator_id FROM {events} WHERE originator_id BETWEEN {low} AND {high}
        ORDER BY 1 {order} LIMIT 1)
        UNION ALL
        (SELECT {end} FROM {files} WHERE {end} BETWEEN {low} AND {high} ORDER BY 1 {order} LIMIT 1)
    ) AS ends (id) ORDER BY 1 {order} LIMIT 1
""")
"""The first or the last stream of a range, archived ones too."""

_ESTIMATE_EVENTS: LiteralString = """
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass
"""


class StagingSchema:
    """The staging schema beside the live schema.

    Args:
        live: The live schema's name.
        purpose: The end of its own name, so that work of several kinds does not meet.

    Attributes:
        live: The live schema's name.
        purpose: The end of its own name.
        name: Its own name.
    """

    def __init__(self, live: str, purpose: str = "rebuild") -> None:
        self.live = live
        self.purpose = purpose
        self.name = f"{live}_{purpose}"

    def enter(self, connection: Connection[Any]) -> None:
        """Make a connection use this schema first, without time limits for its transactions."""
        path = sql.SQL(", ").join([sql.Identifier(self.name), sql.Identifier(self.live)])
        connection.execute(sql.SQL("SET search_path TO {}").format(path))
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        # The server's vacuum may hold a table that is to be indexed; it gives way after a second.
        connection.execute("SET lock_timeout = 0")

    def goal(self, connection: Connection[Any], projections: Sequence[Projection]) -> int | None:
        """Return the goal of an interrupted rebuild of these projections by the same code, or None.

        If a slice has moved since, the rebuild cannot be resumed: the tables may lack what came, or hold what
        has gone.
        """
        here = self._staged("plan")
        with connection.cursor(row_factory=tuple_row) as cursor:
            if cursor.execute("SELECT to_regclass(%s)", (here.as_string(connection),)).fetchone() == (None,):
                return None
            row = cursor.execute(
                _SELECT_GOAL.format(here), (fingerprint_code(projections), self._select_slices(cursor))
            ).fetchone()
            return None if row is None else int(row[0])

    def open(
        self,
        connection: Connection[Any],
        projections: Sequence[Projection],
        goal: int,
        ends: Sequence[int] | None = None,
    ) -> None:
        """Begin anew: create empty copies of the tables and the list of slices to load.

        Args:
            connection: Makes them.
            projections: The projections.
            goal: The last position of this log that is loaded.
            ends: The last position of each log that is loaded, as of `ends_of`; None for this log up to the
                goal, and all foreign events.

        Raises:
            SchemaNotMadeError: The user may not make a schema.
        """
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            self.close(cursor)
            if cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (self.name,)).fetchone() is None:
                try:
                    cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.name)))
                except psycopg.errors.InsufficientPrivilege as error:
                    raise SchemaNotMadeError(self.name, connection.info.user) from error
            cursor.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(self.name)))
            cursor.execute(_CREATE_BOOKKEEPING)
            plan = fingerprint_code(projections), goal, self._select_slices(cursor), ends
            cursor.execute("INSERT INTO plan VALUES (%s, %s, %s, %s)", plan)
            for projection in projections:
                cursor.execute("INSERT INTO steps (view, position) VALUES (%s, %s)", (projection.name, goal))
                for table in projection.tables:
                    self._copy_bare(cursor, table)
            for table in ("projection_proofs", "dead_letters"):
                cursor.execute(
                    sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                        sql.Identifier(table), self._live(table)
                    )
                )
                self._copy_targets(cursor, table)
            ranges = list(divide_streams(cursor, self.live, goal))
            cursor.executemany(
                "INSERT INTO slices (number, low, high) VALUES (%s, %s, %s)",
                [(number, *bounds) for number, bounds in enumerate(ranges)],
            )

    def close(self, cursor: Cursor[Any]) -> None:
        """Drop all that is in the schema, and the schema too if the user may make it again."""
        if cursor.execute(_SELECT_MAY_CREATE).fetchone() == (True,):
            cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.name)))
            return
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (self.name,))
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("DROP TABLE {}").format(self._staged(table)))

    def index(self, cursor: Cursor[Any], projection: Projection) -> None:
        """Create the keys and indexes of the live tables on the copies."""
        for table in projection.tables:
            live = self._live(table).as_string(cursor)
            cursor.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
                " AND contype IN ('p', 'u')",
                (live,),
            )
            for name, definition in cursor.fetchall():
                cursor.execute(
                    sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                        self._staged(table), sql.Identifier(name), sql.SQL(definition)
                    )
                )
            cursor.execute(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass"
                " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
                (live,),
            )
            for (definition,) in cursor.fetchall():
                head, _, rest = definition.partition(f" ON {self.live}.")
                cursor.execute(f"{head} ON {self.name}.{rest}".encode())

    def vacuum(self, connection: Connection[Any], projection: Projection) -> None:
        """Vacuum the new tables, outside a transaction, so that the first look-ups can use an index alone."""
        for table in projection.tables:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(self._staged(table)))

    def keep_vacuum_off(self, cursor: Cursor[Any], projections: Sequence[Projection]) -> None:
        """Keep vacuum off the live tables until the transaction ends; readers and writers go on."""
        self._lock(cursor, projections, sql.SQL("SHARE UPDATE EXCLUSIVE"))

    def lock_out_readers(self, cursor: Cursor[Any], projections: Sequence[Projection]) -> None:
        """Lock the live tables against readers and writers until the transaction ends."""
        self._lock(cursor, projections, sql.SQL("ACCESS EXCLUSIVE"))

    def live_tables(self, projections: Sequence[Projection]) -> list[sql.Identifier]:
        """Return the live tables of projections."""
        return [self._live(table) for projection in projections for table in projection.tables]

    def staged_tables(self, projections: Sequence[Projection]) -> list[sql.Identifier]:
        """Return the new tables of projections, in the same order."""
        return [self._staged(table) for projection in projections for table in projection.tables]

    def _lock(self, cursor: Cursor[Any], projections: Sequence[Projection], mode: sql.SQL) -> None:
        tables = self.live_tables(projections)
        cursor.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(sql.SQL(", ").join(tables), mode))

    def swap_in(self, cursor: Cursor[Any], projection: Projection) -> None:
        """Replace the live tables, proofs and dead letters of a projection by the new ones."""
        for table in projection.tables:
            self._copy_grants(cursor, table)
            cursor.execute(sql.SQL("ALTER TABLE {} RESET (autovacuum_enabled)").format(self._staged(table)))
            self._copy_options(cursor, table)
            cursor.execute(sql.SQL("DROP TABLE {}").format(self._live(table)))
            cursor.execute(
                sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(self._staged(table), sql.Identifier(self.live))
            )
        for table in ("projection_proofs", "dead_letters"):
            live, ours = self._live(table), self._staged(table)
            cursor.execute(sql.SQL("DELETE FROM {} WHERE view = %s").format(live), (projection.name,))
            cursor.execute(
                sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE view = %s").format(live, ours),
                (projection.name,),
            )

    def _copy_bare(self, cursor: Cursor[Any], table: str) -> None:
        """Create an empty table of the same columns; keys and indexes are faster to make when it is full."""
        live = self._live(table)
        cursor.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING STORAGE)").format(
                sql.Identifier(table), live
            )
        )
        self._copy_targets(cursor, table)
        self._copy_options(cursor, table)
        # A vacuum of a new table would delay the swap, and all readers with it.
        cursor.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(self._staged(table)))

    def _copy_targets(self, cursor: Cursor[Any], table: str) -> None:
        """Give columns without samples none in the new table either: samples outlive an erasure."""
        cursor.execute(_SELECT_UNSAMPLED, (self._live(table).as_string(cursor),))
        for (column,) in cursor.fetchall():
            cursor.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET STATISTICS 0").format(
                    self._staged(table), sql.Identifier(column)
                )
            )

    def _copy_options(self, cursor: Cursor[Any], table: str) -> None:
        cursor.execute(
            "SELECT unnest(reloptions) FROM pg_class WHERE oid = %s::regclass",
            (self._live(table).as_string(cursor),),
        )
        for (option,) in cursor.fetchall():
            cursor.execute(sql.SQL("ALTER TABLE {} SET ({})").format(self._staged(table), sql.SQL(option)))

    def _copy_grants(self, cursor: Cursor[Any], table: str) -> None:
        """Grant the rights on the live table, of a reporting tool for instance, on the new table too."""
        cursor.execute(_SELECT_GRANTS, (self._live(table).as_string(cursor),))
        for privilege, grantee, is_grantable in cursor.fetchall():
            cursor.execute(
                sql.SQL("GRANT {} ON {} TO {}{}").format(
                    sql.SQL(privilege),
                    self._staged(table),
                    sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC"),
                    sql.SQL(" WITH GRANT OPTION" if is_grantable else ""),
                )
            )

    def _select_slices(self, cursor: Cursor[Any]) -> str:
        """Select a text that changes with each step of a move that brings or takes rows."""
        statement = _SELECT_SLICES.format(slices=self._live("slices"), leaving=self._live("leaving_slices"))
        row = cursor.execute(statement).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return str(row[0])

    def _staged(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.name, table)

    def _live(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.live, table)


def divide_streams(cursor: Cursor[Any], schema: str, goal: int) -> Iterator[tuple[UUID, UUID]]:
    """Divide all stream ids into ranges with a modest number of events each.

    The streams of a slice lie close together, in the order of time. So a slice is divided between its first
    stream and its last one.
    """
    count, events = 1, max(count_positions(0, goal), _estimate_events(cursor, schema))
    while count < _MAX_SLICES and events > count * EVENTS_A_SLICE:
        count *= 2
    parts = max(count // SLICES, 1)
    width = (1 << 128) // min(count, SLICES)
    for low in range(0, 1 << 128, width):
        high = low + width - 1
        first, last = (
            cursor.execute(
                _SELECT_END.format(
                    events=sql.Identifier(schema, "offerlog_events"),
                    files=sql.Identifier(schema, "archived_files"),
                    low=UUID(int=low),
                    high=UUID(int=high),
                    end=sql.Identifier(end),
                    order=sql.SQL(order),
                )
            ).fetchone()
            for order, end in (("ASC", "first_stream"), ("DESC", "last_stream"))
        )
        if parts == 1 or first is None or last is None:
            yield UUID(int=low), UUID(int=high)
            continue
        step = (last[0].int - first[0].int) // parts + 1
        # the lower half is 0: a range begins with a visitor's first stream
        starts = [low, *(first[0].int + n * step >> 64 << 64 for n in range(1, parts)), high + 1]
        for start, behind in pairwise(starts):
            yield UUID(int=start), UUID(int=behind - 1)


def _estimate_events(cursor: Cursor[Any], schema: str) -> int:
    """Estimate the events of the table: most may be foreign, of which the position says nothing."""
    row = cursor.execute(_ESTIMATE_EVENTS, (f'"{schema}".offerlog_events',)).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return int(row[0])


def fingerprint_code(projections: Sequence[Projection]) -> str:
    """Return a digest of all code and SQL that decides the rows of these projections."""
    digest = sha256(" ".join(sorted(projection.name for projection in projections)).encode())
    for package in FINGERPRINTED:
        for file in list_sources(resources.files(package)):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def list_sources(folder: Traversable) -> Iterator[Traversable]:
    """Yield the source files of a package and of its nested packages, in a fixed order."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from list_sources(entry)
        elif entry.name.endswith((".py", ".sql")):
            yield entry
