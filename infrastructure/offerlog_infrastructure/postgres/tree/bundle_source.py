"""The events of the log for a bundle, as stored and decoded."""

from typing import Final, LiteralString

from psycopg.rows import tuple_row

from offerlog_application.evidence.bundle_parts import BundlePage
from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.projections.page import Page
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS, decode_page

_SELECT_EVENTS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id
"""

_WHOLE_STREAMS: Final = (1 << 63) - 1
"""Earlier events are those of whole streams: positions of several shards say nothing of what is earlier."""


class PostgresBundleSource:
    """The application's `BundleSource`."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._mapper = application.event_mapper
        self._files = application.archived_files

    @again_if_replaced
    def read(self, after: int, until: int) -> BundlePage:
        """Return the events behind a position and up to another."""
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            lift_answer_limit(connection)  # an export reads the whole log
            behind = max(after, begin_of_shard(until))
            rows = cursor.execute(_SELECT_EVENTS, (behind, until), prepare=True).fetchall()
            rows = list(add_archived(connection, self._files, rows, after, until))
            decoded = decode_page(cursor, self._mapper, self._files, rows, _WHOLE_STREAMS)
        stored = [(position, stream.bytes, *rest) for position, stream, *rest in rows]
        return BundlePage(stored, Page(decoded.events, decoded.earlier))
