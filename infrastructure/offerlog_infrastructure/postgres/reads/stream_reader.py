"""Whole streams, read for a history, within the time of a read."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg.rows import tuple_row

from offerlog_application.reading.read_budget import check_read
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import OfferKey
from offerlog_domain.stream_ids import make_stream_id
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_rows import select_streams
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT, read_transaction

_SELECT_STREAM: LiteralString = """
    SELECT v.token, v.kek, v.wrapped_key, e.originator_version, e.topic, e.state
    FROM visitors v LEFT JOIN offerlog_events e ON e.originator_id = stream_id(v.token, %s)
    WHERE v.digest = %s ORDER BY e.originator_version
"""

_STEP: Final = 1_000
"""After so many events the read checks whether its time is over or its caller has gone."""


class PostgresStreamReader:
    """Reads streams; thread-safe.

    A method has the errors of the method of `StreamReader`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys

    def events(self, offer: OfferKey) -> Sequence[RecordedEvent[Event]]:
        """Read the whole stream, in order.

        Raises:
            ReadTimeoutError: It takes longer than a read may.
            ReadCancelledError: Nobody waits for it any more.
            UnreadableEventError: A stored event is unknown to this build.
            ArchiveUnavailableError: A file with archived events cannot be read.
        """
        events: list[RecordedEvent[Event]] = []
        for token, kek, wrapped_key, version, topic, state in self._select(offer):
            if version % _STEP == 0:
                check_read()
            stream = self._keys.open_stream(token, kek, wrapped_key, offer.action_map_id)
            events.append(self._mapper.open_event(offer.id, stream, version, topic, state))
        return events

    @again_if_replaced
    def _select(self, offer: OfferKey) -> Sequence[tuple[Any, ...]]:
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(ONE_SNAPSHOT)  # an erasure between the two statements would blank the events
            rows = cursor.execute(_SELECT_STREAM, (offer.action_map_id, offer.visitor_digest)).fetchall()
            if not rows:
                return rows
            stream = make_stream_id(rows[0][0], offer.action_map_id)
            archived = select_streams(cursor.connection, self._files, stream, stream)
        visitor = rows[0][:3]
        return [
            *((*visitor, *event) for _, _, *event in archived),
            *(row for row in rows if row[3] is not None),
        ]
