"""The kinds of events that a log holds, and a check that this build can read them."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import tuple_row

from offerlog_application.ports.read_models import StoredKind
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import UnreadableEventError

# Of each kind: its first and last event, and one event from each hundredth of the log's positions.
_SELECT_KINDS_AND_SAMPLES: LiteralString = """
    WITH kinds AS (
        SELECT topic, count(*) AS events, min(notification_id) AS first, max(notification_id) AS last
        FROM offerlog_events GROUP BY topic
    ), sampled AS (
        SELECT topic, min(notification_id) AS position
        FROM offerlog_events,
            (SELECT greatest(max(notification_id) / 100, 1) AS width FROM offerlog_events) AS step
        GROUP BY topic, notification_id / width
        UNION SELECT topic, last FROM kinds
    )
    SELECT k.topic, k.events, k.first, k.last, e.originator_id, e.originator_version, e.state
    FROM kinds k JOIN sampled s USING (topic) JOIN offerlog_events e ON e.notification_id = s.position
    ORDER BY k.topic, s.position
"""


class PostgresEventKinds:
    """The kinds of events of one log; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    def stored_kinds(self) -> Sequence[StoredKind]:
        """List every kind of event in the log, with a sample of about a hundred events of each read."""
        with (
            store_reached(self._application.reading),
            self._application.reading.get_connection() as connection,
        ):
            lift_answer_limit(connection)  # it reads the whole log
            rows = (
                connection.cursor(binary=True, row_factory=tuple_row)
                .execute(_SELECT_KINDS_AND_SAMPLES)
                .fetchall()
            )
        found: dict[str, StoredKind] = {}
        for topic, events, first, last, stream, version, state in rows:
            before = found.get(topic)
            error = before.error if before else None
            try:
                self._application.event_mapper.event(stream, version, topic, state)
            except UnreadableEventError as unreadable:
                error = error or str(unreadable)
            sampled = (before.sampled if before else 0) + 1
            found[topic] = StoredKind(topic, events, first, last, sampled, error)
        return list(found.values())
