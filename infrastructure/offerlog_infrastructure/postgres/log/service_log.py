"""The application's `ServiceLog` on PostgreSQL: the writer's own append, with one event."""

from collections.abc import Sequence
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import StaleEpochError, UnreadableEventError, VersionConflictError
from offerlog_application.ports.service_log import SERVICE_PAGE, ServiceEntry
from offerlog_domain.service_events import ServiceEvent
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.copying import RowConflictError

_TRIES: Final = 100
"""Number of tries of an append whose version may be any: another writer that hangs ends them."""

_SELECT_LAST_VERSION: LiteralString = """
    SELECT coalesce(max(originator_version), 0) FROM offerlog_events WHERE originator_id = %s
"""
_SELECT_ENTRIES: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state FROM offerlog_events
    WHERE originator_id = %(stream)s AND notification_id > %(behind)s
      AND originator_version > greatest(%(after)s, (
          SELECT originator_version FROM offerlog_events
          WHERE notification_id = %(behind)s AND originator_id = %(stream)s
      ))
    ORDER BY originator_version LIMIT %(limit)s
"""
"""`greatest` leaves a null out: that of a position without an entry of the stream."""


class PostgresServiceLog:
    """The streams of events that belong to no visitor-offer; thread-safe.

    A method has the errors of the method of `ServiceLog`, and those that it names.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._mapper = application.event_mapper

    def append_entry(self, stream: UUID, event: ServiceEvent, *, version: int | None = None) -> ServiceEntry:
        """Append an event to its stream; returns it at its place.

        Raises:
            VersionConflictError: Another writer has that version, or is about to; nothing was stored.
        """
        with store_reached(self._application.log.datastore):
            for left in reversed(range(_TRIES)):
                place = self._select_last_version(stream) + 1 if version is None else version
                try:
                    return self._append_at(stream, place, event)
                except RowConflictError as error:
                    if version is not None or not left:
                        raise VersionConflictError(stream, waiting=error.waiting) from error
                except StaleEpochError:
                    if not left:
                        raise
        raise AssertionError("the last try returns or raises")

    def read_entries(
        self, stream: UUID, after: int = 0, limit: int = SERVICE_PAGE, *, behind: int = 0
    ) -> Sequence[ServiceEntry]:
        """Return the entries of a stream behind a version, in order, at most `limit`."""
        with (
            store_reached(self._application.reading),
            self._application.reading.get_connection() as connection,
        ):
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            asked = {"stream": stream, "after": after, "behind": behind, "limit": limit}
            stored = cursor.execute(_SELECT_ENTRIES, asked).fetchall()
        return [self._read(*row) for row in stored]

    def _read(self, position: int, stream: UUID, version: int, topic: str, state: bytes) -> ServiceEntry:
        event = self._mapper.event(stream, version, topic, state).event
        if not isinstance(event, ServiceEvent):
            raise UnreadableEventError(topic, stream, version, "it belongs to a visitor-offer")
        return ServiceEntry(position, stream, version, event)

    def _append_at(self, stream: UUID, version: int, event: ServiceEvent) -> ServiceEntry:
        log = self._application.log
        row = self._mapper.service_row(stream, version, event)
        position = log.append([row], epoch=log.select_epoch())
        assert position is not None  # noqa: S101 - an event was appended
        return ServiceEntry(position, stream, version, event)

    def _select_last_version(self, stream: UUID) -> int:
        datastore = self._application.log.datastore
        with datastore.get_connection() as connection:
            row = connection.cursor(row_factory=tuple_row).execute(_SELECT_LAST_VERSION, (stream,)).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return int(row[0])
