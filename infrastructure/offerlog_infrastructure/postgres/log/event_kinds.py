"""The kinds of events that a log holds, and a check that this build can read them."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.positions import SHARD_BITS
from offerlog_application.ports.read_models import StoredKind
from offerlog_application.ports.slices import StoredRow
from offerlog_domain.service_events import ServiceEvent
from offerlog_infrastructure.postgres.archive.archived_files import (
    FILE_COLUMNS,
    ArchivedFiles,
    again_if_replaced,
)
from offerlog_infrastructure.postgres.archive.archived_rows import ARCHIVED, select_files, to_parameters
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT

_SELECT_WIDTH: LiteralString = f"""
    SELECT greatest(max(notification_id & ((1::bigint << {SHARD_BITS}) - 1)) / 100, 1) FROM offerlog_events
    WHERE notification_id > 0
"""
"""A hundredth of the positions of the longest log with events here. The first event of a kind in each part of
a log is a sample, and the last of all."""

_SELECT_KINDS: LiteralString = """
    SELECT topic, count(*), min(notification_id), max(notification_id) FROM offerlog_events GROUP BY topic
"""
_SELECT_FIRST: LiteralString = """
    SELECT topic, notification_id / %s, min(notification_id) FROM offerlog_events GROUP BY 1, 2
"""
_SELECT_SAMPLES: LiteralString = f"""
    SELECT e.topic, e.notification_id, e.originator_id, e.originator_version, e.state, v.kek, v.wrapped_key,
        erased.token IS NOT NULL AS is_erased
    FROM (
        SELECT {EVENT_COLUMNS} FROM offerlog_events WHERE notification_id = ANY(%(sampled)s::bigint[])
        UNION ALL SELECT {EVENT_COLUMNS} FROM {ARCHIVED}
    ) AS e
    -- the token is the first half of the id
    LEFT JOIN visitors v
        ON v.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
    LEFT JOIN erased_visitors erased
        ON erased.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
    ORDER BY e.topic, e.notification_id
"""
_SELECT_FILES: LiteralString = f"SELECT {FILE_COLUMNS} FROM archived_files f"


_StoredEvent = tuple[UUID, int, bytes]
"""Stream, place in it, and state."""


class PostgresEventKinds:
    """The kinds of events of one log; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    @again_if_replaced
    def stored_kinds(self) -> Sequence[StoredKind]:
        """List every kind of event in the log. Of each, about a hundred events are read and opened."""
        with (
            store_reached(self._application.reading),
            self._application.reading.get_connection() as connection,
        ):
            lift_answer_limit(connection)  # it reads the whole log
            with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
                cursor.execute(ONE_SNAPSHOT)
                kinds, rows = _select_kinds(cursor, self._application.archived_files)
        found: dict[str, StoredKind] = {}
        for topic, _, stream, version, state, kek, wrapped_key, is_erased in rows:
            before = found.get(topic)
            error = before.error if before else None
            key = None if kek is None else (kek, wrapped_key)
            error = error or self._find_fault(topic, (stream, version, state), key, is_erased=is_erased)
            sampled = (before.sampled if before else 0) + 1
            found[topic] = StoredKind(topic, *kinds[topic], sampled, error)
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


_Kind = tuple[int, int, int]
"""The number of events of a kind, and the positions of the first and the last one."""


def _select_kinds(cursor: Cursor[Any], files: ArchivedFiles) -> tuple[Mapping[str, _Kind], Sequence[Any]]:
    """Select the kinds of events, and the samples of each."""
    (width,) = cursor.execute(_SELECT_WIDTH).fetchone() or (1,)
    width = width or 1
    kinds: dict[str, _Kind] = {topic: found for topic, *found in cursor.execute(_SELECT_KINDS).fetchall()}
    firsts = {(topic, n): place for topic, n, place in cursor.execute(_SELECT_FIRST, (width,)).fetchall()}
    archived: dict[int, StoredRow] = {}
    for file in select_files(cursor.connection, _SELECT_FILES):
        for row in files.open(cursor.connection, file).all():
            position, topic = row[0], row[3]
            events, first, last = kinds.get(topic, (0, position, position))
            kinds[topic] = events + 1, min(first, position), max(last, position)
            known = firsts.get((topic, position // width))
            if known is None or position < known:
                firsts[topic, position // width] = position
                archived[position] = row
            if position >= last:
                archived[position] = row
    sampled = {*firsts.values(), *(last for _, _, last in kinds.values())}
    asked = to_parameters([row for position, row in archived.items() if position in sampled])
    rows = cursor.execute(_SELECT_SAMPLES, {"sampled": list(sampled), **asked}).fetchall()
    return kinds, rows
