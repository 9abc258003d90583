"""The application's `SliceSource` on PostgreSQL: ranges of the log's primary key."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import begin_of_shard, shard_of_position
from offerlog_application.ports.slices import LiveProjections, ProjectionDigest, SliceBounds, StoredRow
from offerlog_domain.stream_ids import SLICES
from offerlog_infrastructure.postgres.archive.archived_rows import merge_streams
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import BEGIN, UP_TO
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS
from offerlog_infrastructure.postgres.projections.rebuild.staging import (
    EVENTS_A_SLICE,
    divide_streams,
    fingerprint_code,
)
from offerlog_infrastructure.postgres.projections.row_digests import digest_tables
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS

_PAGE: Final = 5_000

_SELECT_PROOFS: LiteralString = """
    SELECT t.application_name, t.notification_id, coalesce(sum(p.events), 0)::bigint,
        coalesce(sum(p.digest), 0)::text
    FROM offerlog_tracking t LEFT JOIN projection_proofs p ON p.view = t.application_name
    WHERE t.application_name = ANY(%s) GROUP BY 1, 2
"""
_SELECT_WAITING: LiteralString = "SELECT view, originator_id, originator_version FROM dead_letters"
_SELECT_STORE: LiteralString = "SELECT current_database() || '/' || 'offerlog_events'::regclass::oid"
_SELECT_BEGIN: LiteralString = f"SELECT {BEGIN}"
_SELECT_SLICE: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE originator_id BETWEEN %s AND %s AND {UP_TO}
    ORDER BY originator_id, originator_version
"""


class PostgresSliceSource:
    """The application's `SliceSource`; thread-safe.

    A method has the errors of the method of `SliceSource`.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    def live(self) -> LiveProjections:
        """Read the live projections, all in one snapshot."""
        with (
            store_reached(self._application.log.datastore),
            self._application.connect() as connection,
            connection.transaction(),
        ):
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            lift_answer_limit(connection)
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            names = [one.name for one in PROJECTIONS]
            proofs = {row[0]: row[1:] for row in cursor.execute(_SELECT_PROOFS, (names,)).fetchall()}
            waiting: dict[str, dict[Any, int]] = {name: {} for name in names}
            for name, stream, version in cursor.execute(_SELECT_WAITING).fetchall():
                waiting[name][stream] = version
            (begin,) = cursor.execute(_SELECT_BEGIN).fetchone() or (0,)
            (store,) = cursor.execute(_SELECT_STORE).fetchone() or ("",)
            contents = {}
            for projection in PROJECTIONS:
                _, events, digest = proofs[projection.name]
                tables = digest_tables(
                    projection, lambda columns, table: _select_pages(connection, columns, table)
                )
                contents[projection.name] = ProjectionDigest(events, int(digest), tables)
        positions = {name: proof[0] for name, proof in proofs.items()}
        return LiveProjections(store, positions, waiting, shard_of_position(begin), contents)

    def name_store(self) -> str:
        """Return the database and the number of the events table in it."""
        with (
            store_reached(self._application.log.datastore),
            self._application.connect() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            (store,) = cursor.execute(_SELECT_STORE).fetchone() or ("",)
        return str(store)

    def code(self) -> str:
        """Return a digest of the code that decides what a projection holds."""
        return fingerprint_code(PROJECTIONS)

    def divide(self, position: int) -> Sequence[SliceBounds]:
        """Divide the streams into slices, as a rebuild does, and none beyond the first four bits of an id."""
        goal = max(position, begin_of_shard(position) + SLICES * EVENTS_A_SLICE)
        with (
            store_reached(self._application.log.datastore),
            self._application.connect() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            schema = self._application.log.datastore.schema
            return [SliceBounds(*bounds) for bounds in divide_streams(cursor, schema, goal)]

    def read(self, bounds: SliceBounds, position: int) -> Iterator[Sequence[StoredRow]]:
        """Read the events of a slice up to a position, and foreign ones, page by page, in one transaction."""
        with (
            store_reached(self._application.log.datastore),
            self._application.connect() as connection,
            connection.transaction(),
        ):
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            lift_answer_limit(connection)
            with connection.cursor(name="slice", binary=True, row_factory=tuple_row) as cursor:
                cursor.execute(_SELECT_SLICE, (*bounds, position))
                pages = iter(lambda: cursor.fetchmany(_PAGE), [])
                yield from merge_streams(
                    cursor, self._application.archived_files, pages, *bounds, until=position
                )


def _select_pages(
    connection: Connection[Any], columns: LiteralString, table: LiteralString
) -> Iterator[Sequence[Sequence[Any]]]:
    with connection.cursor(name="rows", binary=True, row_factory=tuple_row) as cursor:
        cursor.execute(f"SELECT {columns} FROM {table}")
        while page := cursor.fetchmany(_PAGE):
            yield page
