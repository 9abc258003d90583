"""Whole streams, read for a history, within the time of a read."""

from collections.abc import Sequence
from typing import Final, LiteralString

from psycopg.rows import tuple_row

from offerlog_application.reading.read_budget import check_read
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import OfferKey
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction

_SELECT_STREAM: LiteralString = """
    SELECT v.token, v.kek, v.wrapped_key, e.originator_version, e.topic, e.state
    FROM visitors v JOIN offerlog_events e ON e.originator_id = stream_id(v.token, %s)
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
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys

    def events(self, offer: OfferKey) -> Sequence[RecordedEvent[Event]]:
        """Read the whole stream, in order.

        Raises:
            ReadTimeoutError: It takes longer than a read may.
            ReadCancelledError: Nobody waits for it any more.
            UnreadableEventError: A stored event is unknown to this build.
        """
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            stored = cursor.execute(_SELECT_STREAM, (offer.action_map_id, offer.visitor_digest)).fetchall()
        events: list[RecordedEvent[Event]] = []
        for token, kek, wrapped_key, version, topic, state in stored:
            if version % _STEP == 0:
                check_read()
            stream = self._keys.open_stream(token, kek, wrapped_key, offer.action_map_id)
            events.append(self._mapper.open_event(offer.id, stream, version, topic, state))
        return events
