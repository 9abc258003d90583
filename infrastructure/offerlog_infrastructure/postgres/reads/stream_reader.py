"""Whole streams, read for a history, within the time of a read."""

from collections.abc import Sequence
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.reading.read_budget import check_read
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction

_SELECT_STREAM: LiteralString = """
    SELECT originator_version, topic, state FROM offerlog_events WHERE originator_id = %s
    ORDER BY originator_version
"""

_STEP: Final = 1_000
"""After so many events the read checks whether its time is over or its caller has gone."""


class PostgresStreamReader:
    """Reads streams; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._mapper = application.event_mapper

    def events(self, stream: UUID) -> Sequence[RecordedEvent[Event]]:
        """Read the whole stream, in order.

        Raises:
            ReadTimeoutError: It takes longer than a read may.
            ReadCancelledError: Nobody waits for it any more.
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            stored = cursor.execute(_SELECT_STREAM, (stream,)).fetchall()
        events: list[RecordedEvent[Event]] = []
        for version, topic, state in stored:
            if version % _STEP == 0:
                check_read()
            events.append(self._mapper.event(stream, version, topic, state))
        return events
