"""The kinds of events that a log holds, and a check that this build can read them."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.read_models import StoredKind
from offerlog_domain.service_events import ServiceEvent
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.log.visitors import OpenStream

# Of each kind: its first and last event, and one event from each hundredth of the log's positions.
_SELECT_KINDS_AND_SAMPLES: LiteralString = f"""
    WITH kinds AS (
        SELECT topic, count(*) AS events, min(notification_id) AS first, max(notification_id) AS last
        FROM offerlog_events GROUP BY topic
    ), sampled AS (
        SELECT topic, min(notification_id) AS position
        FROM offerlog_events,
            (SELECT greatest(({SELECT_LAST_POSITION}) / 100, 1) AS width) AS step
        GROUP BY topic, notification_id / width
        UNION SELECT topic, last FROM kinds
    )
    SELECT k.topic, k.events, k.first, k.last, e.originator_id, e.originator_version, e.state,
        v.kek, v.wrapped_key, erased.token IS NOT NULL AS is_erased
    FROM kinds k JOIN sampled s USING (topic) JOIN offerlog_events e ON e.notification_id = s.position
    -- the token is the first half of the id
    LEFT JOIN visitors v
        ON v.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
    LEFT JOIN erased_visitors erased
        ON erased.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
    ORDER BY k.topic, s.position
"""


_StoredEvent = tuple[UUID, int, bytes]
"""Stream, place in it, and state."""


class PostgresEventKinds:
    """The kinds of events of one log; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    def stored_kinds(self) -> Sequence[StoredKind]:
        """List every kind of event in the log. Of each, about a hundred events are read and opened."""
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
        for topic, events, first, last, stream, version, state, kek, wrapped_key, is_erased in rows:
            before = found.get(topic)
            error = before.error if before else None
            key = None if kek is None else (kek, wrapped_key)
            error = error or self._find_fault(topic, (stream, version, state), key, is_erased=is_erased)
            sampled = (before.sampled if before else 0) + 1
            found[topic] = StoredKind(topic, events, first, last, sampled, error)
        return list(found.values())

    def _find_fault(
        self, topic: str, event: _StoredEvent, key: tuple[int, bytes] | None, *, is_erased: bool
    ) -> str | None:
        """Say why an event cannot be read or opened; None if it can, or if its visitor was erased."""
        stream, version, state = event
        mapper = self._application.event_mapper
        try:
            if key is None:
                public = mapper.event(stream, version, topic, state).event
                if is_erased or isinstance(public, ServiceEvent):
                    return None
                return f"stored event {topic} ({stream}, version {version}): its visitor is not in the store"
            opened = OpenStream(stream, self._application.visitor_keys.sealer(*key))
            mapper.open_event(stream, opened, version, topic, state)
        except (UnreadableEventError, KeyringError) as fault:
            return str(fault)
        return None
