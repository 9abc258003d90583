"""Dead letters: the visitor-offers that a projection goes on without, and the retry of their events."""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.read_models import DeadLetter
from offerlog_application.projections.page import Page
from offerlog_domain.stream_ids import make_visitor_stream_id, token_of
from offerlog_infrastructure.postgres.archive.archived_rows import select_cut, select_streams
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import UP_TO
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS, DecodedPage, PositionedRow, decode_page
from offerlog_infrastructure.postgres.projections.apply_page import apply_page
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS, Projection, create_merge_tables

_SELECT_DEAD_LETTERS: LiteralString = """
    SELECT view AS projection, originator_id AS stream, position, originator_version AS version, topic, error,
        dead_at, waiting
    FROM dead_letters ORDER BY view, position
"""
_COUNT_MISSING_EVENTS: LiteralString = """
    SELECT coalesce(sum(waiting), 0)::bigint AS events FROM dead_letters
    WHERE view = %s AND (organization IS NULL OR organization = %s)
      AND (action_map_id IS NULL OR cardinality(%s::uuid[]) = 0 OR action_map_id = ANY(%s))
"""
_DELETE_DEAD_LETTER: LiteralString = """
    DELETE FROM dead_letters WHERE view = %s AND originator_id = %s RETURNING originator_version
"""
_SELECT_WAITING_EVENTS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE originator_id = %s AND originator_version >= %s AND {UP_TO} ORDER BY originator_version
"""


class PostgresDeadLetters:
    """The dead letters of all projections; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._datastore = application.reading

    def all(self) -> Sequence[DeadLetter]:
        """List the dead letters by projection and position."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return [DeadLetter(**row) for row in cursor.execute(_SELECT_DEAD_LETTERS).fetchall()]

    def short_by(self, projection: str, organization: str, action_maps: Sequence[str] = ()) -> int:
        """Count the waiting events of an organization and its maps; events of unknown origin always count."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            maps = list(action_maps)
            row = cursor.execute(
                _COUNT_MISSING_EVENTS, (projection, organization, maps, maps), prepare=True
            ).fetchone()
            return int(row["events"]) if row else 0

    def retry(self) -> int:
        """Apply the waiting events again, in order; an event that still fails stays a dead letter.

        Returns:
            How many visitor-offers are not dead letters any more.
        """
        lifted = 0
        by_name = {projection.name: projection for projection in PROJECTIONS}
        for letter in self.all():
            lifted += self._retry(by_name[letter.projection], letter.stream)
        return lifted

    def _retry(self, projection: Projection, stream: UUID) -> bool:
        with store_reached(self._application.reading), self._application.connect() as connection:
            create_merge_tables(connection)
            with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
                # The row lock on the position allows one writer: the projector waits for us, or we for it.
                cursor.execute("SET LOCAL lock_timeout = 0")
                position = cursor.execute(
                    "SELECT notification_id FROM offerlog_tracking WHERE application_name = %s FOR UPDATE",
                    (projection.name,),
                ).fetchone()
                lifted = cursor.execute(_DELETE_DEAD_LETTER, (projection.name, stream)).fetchone()
                if position is None or lifted is None:
                    return False
                rows = cursor.execute(_SELECT_WAITING_EVENTS, (stream, lifted[0], position[0])).fetchall()
                rows = self._add_archived(cursor, stream, rows, lifted[0], position[0])
                apply_page(
                    cursor,
                    projection.name,
                    projection.apply,
                    self._decode(cursor, rows),
                )
                self._erase_again(cursor, projection, stream, position[0])
                still = cursor.execute(
                    "SELECT FROM dead_letters WHERE view = %s AND originator_id = %s",
                    (projection.name, stream),
                ).fetchone()
                return still is None

    def _decode(self, cursor: Cursor[Any], rows: Sequence[PositionedRow]) -> DecodedPage:
        return decode_page(cursor, self._application.event_mapper, self._application.archived_files, rows)

    def _add_archived(
        self, cursor: Cursor[Any], stream: UUID, rows: Sequence[PositionedRow], version: int, last: int
    ) -> list[PositionedRow]:
        """Put archived events before the others: a projection may be made anew behind an archive."""
        known = {row[2] for row in rows}
        archived = select_streams(cursor.connection, self._application.archived_files, stream, stream)
        is_wanted = select_cut(cursor.connection, last)
        more = (row for row in archived if is_wanted(row[0]) and row[2] >= version and row[2] not in known)
        return [*more, *rows]

    def _erase_again(self, cursor: Cursor[Any], projection: Projection, stream: UUID, position: int) -> None:
        """Apply the erasure of the stream's visitor once more, if it is behind the retried events.

        The proof has counted it already.
        """
        own = make_visitor_stream_id(token_of(stream))
        rows = cursor.execute(_SELECT_WAITING_EVENTS, (own, 0, position)).fetchall()
        if rows and own != stream:
            events = self._decode(cursor, rows).events
            projection.apply(cursor, Page(events))
