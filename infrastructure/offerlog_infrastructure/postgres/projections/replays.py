"""The log as it stood at an earlier position: all projections built beside the live ones, for a while."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.positions import SHARD_BITS, begin_of_shard, shard_of_position
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.replays import ReplayedEvent, ReplayedProjections
from offerlog_application.reading.read_budget import check_read
from offerlog_domain.events import LIFECYCLE_EVENTS
from offerlog_domain.lifecycle import State
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived, find_last
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.rebuild.builder import (
    finish_projection,
    hold_rebuild_lock,
    select_last_event,
)
from offerlog_infrastructure.postgres.projections.rebuild.loading import load_all_slices
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from offerlog_infrastructure.postgres.reads.performance import PostgresPerformance

_LOCK_NUMBER: Final = 101
"""The second key of the advisory lock that keeps replays apart; a rebuild may run beside one."""

_PURPOSE: Final = "replay"

_WINDOW: Final = 20_000
"""Positions that one statement looks through for the events of a map."""

_SELECT_PROOFS: LiteralString = """
    SELECT s.view, coalesce(sum(p.events), 0)::bigint, coalesce(sum(p.digest), 0)::text,
        (SELECT coalesce(sum(waiting), 0)::bigint FROM dead_letters d WHERE d.view = s.view)
    FROM steps s LEFT JOIN projection_proofs p ON p.view = s.view GROUP BY s.view ORDER BY s.view
"""
_SELECT_EVENT_UP_TO: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id DESC LIMIT 1
"""
_SELECT_SHARDS: LiteralString = f"""
    WITH RECURSIVE shards AS (
        SELECT (SELECT min(notification_id) FROM offerlog_events) >> {SHARD_BITS} AS number
        UNION ALL
        SELECT (
            SELECT min(notification_id) FROM offerlog_events
            WHERE notification_id >= (s.number + 1) << {SHARD_BITS}
        ) >> {SHARD_BITS}
        FROM shards s WHERE s.number IS NOT NULL
    )
    SELECT found.first, found.last FROM shards s CROSS JOIN LATERAL (
        SELECT min(notification_id) AS first, max(notification_id) AS last FROM offerlog_events
        WHERE notification_id BETWEEN s.number << {SHARD_BITS} AND ((s.number + 1) << {SHARD_BITS}) - 1
    ) AS found
    WHERE s.number <> %s ORDER BY 1
"""
"""The positions of foreign events, shard by shard: a few look-ups in the indexes of positions."""
_SELECT_WINDOW: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id
"""


class PostgresReplays:
    """The application's `Replays`; thread-safe.

    A method has the errors of the method of `Replays`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    def settle(self, position: int | None) -> int:
        """Return the position of the last event up to a position; None for the end of the log."""
        with self._connected() as connection:
            safe = self._application.log.safe_position()
            return select_last_event(
                connection,
                self._application.archived_files,
                safe if position is None else min(position, safe),
            )

    def position_at(self, moment: datetime) -> int:
        """Return the position of the last event that was recorded by a time; 0 if there is none.

        The log is searched as if it were sorted by time. Times go by the clocks of writers, so they may step
        back along the log by the difference of two clocks, and by the time that an append takes. Then the
        result lies among the events within that difference around the time: the event at the result was
        recorded by the time, and the next one that was looked at was not.

        Raises:
            UnreadableEventError: A stored event is unknown to this build.
        """
        high = self.settle(None)
        begin = low = begin_of_shard(high)
        with self._connected() as connection, connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            while low < high:
                middle = (low + high + 1) // 2
                found = cursor.execute(_SELECT_EVENT_UP_TO, (begin, middle)).fetchone()
                archived = find_last(connection, self._application.archived_files, middle)
                if archived is not None and (found is None or archived[0] > found[0]):
                    found = archived
                if found is None:
                    low = middle
                    continue
                position, stream, version, topic, state = found
                event = self._application.event_mapper.event(stream, version, topic, state).event
                if event.recorded_at <= moment:
                    low = middle
                else:
                    high = position - 1
        return self.settle(low)

    @contextmanager
    def replay(
        self, position: int, on_progress: Callable[[RebuildProgress], None]
    ) -> Iterator[ReplayedProjections]:
        """Build all projections as they stood at a position, beside the live ones; they go with the block."""
        application = self._application
        staging = StagingSchema(application.log.datastore.schema, _PURPOSE)
        with self._connected() as connection, hold_rebuild_lock(connection, _LOCK_NUMBER):
            try:
                staging.open(connection, PROJECTIONS, position)
                staging.enter(connection)
                load_all_slices(application, connection, staging, PROJECTIONS, on_progress)
                on_progress(RebuildProgress("indexing", position, position))
                for projection in PROJECTIONS:
                    finish_projection(application, staging, projection)
                # Its statements name tables without a schema, and find those of the replay.
                with closing(OfferlogApplication(application.dsn, staging.name)) as replayed:
                    yield ReplayedProjections(
                        position, PostgresPerformance(replayed), _select_proofs(connection, position)
                    )
            finally:
                if not connection.broken:
                    with connection.cursor(row_factory=tuple_row) as cursor:
                        staging.close(cursor)

    def events_of(
        self, organization: str, action_map_id: UUID, state: State, position: int
    ) -> Generator[ReplayedEvent]:
        """Stream the events of a map that reached a state, up to a position, in the order of the log.

        Foreign events come first: they were recorded elsewhere, and have no place in that order.

        Raises:
            ReadTimeoutError: A caller with a time limit waits for longer.
            UnreadableEventError: A stored event is unknown to this build.
        """
        topics, read = (
            self._application.event_mapper.topics(LIFECYCLE_EVENTS[state]),
            self._application.event_mapper.event,
        )
        ranges = [*self._select_foreign(position), (begin_of_shard(position), position)]
        windows = ((start, last) for begin, last in ranges for start in range(begin, last, _WINDOW))
        for start, last in windows:
            check_read()
            end = min(start + _WINDOW, last)
            for place, stream, version, topic, stored in self._select_window(start, end, topics):
                sealed = read(stream, version, topic, stored)
                if (sealed.event.organization, sealed.event.action_map_id) == (organization, action_map_id):
                    yield ReplayedEvent(place, sealed)

    def _select_foreign(self, position: int) -> Sequence[tuple[int, int]]:
        """Select the positions of other shards than that of a position: behind one, up to another."""
        with self._connected() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(_SELECT_SHARDS, (shard_of_position(position),)).fetchall()
        return [(first - 1, last) for first, last in found]

    @again_if_replaced
    def _select_window(self, start: int, end: int, topics: Sequence[str]) -> Sequence[tuple[Any, ...]]:
        datastore = self._application.reading
        with store_reached(datastore), datastore.get_connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            rows = cursor.execute(_SELECT_WINDOW, (start, end, list(topics))).fetchall()
            every = add_archived(connection, self._application.archived_files, rows, start, end)
            return [row for row in every if row[3] in topics]

    @contextmanager
    def _connected(self) -> Iterator[Connection[DictRow]]:
        with store_reached(self._application.log.datastore), self._application.connect() as connection:
            yield connection


def _select_proofs(connection: Connection[DictRow], position: int) -> Sequence[Proof]:
    """Select the proofs of the replayed projections; the connection uses their schema."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_SELECT_PROOFS).fetchall()
    return [Proof(name, position, events, digest, waiting, 0) for name, events, digest, waiting in rows]
