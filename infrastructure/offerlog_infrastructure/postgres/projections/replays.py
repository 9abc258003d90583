"""The log as it stood at an earlier position: all projections built beside the live ones, for a while."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.positions import (
    SHARD_BITS,
    LogPosition,
    begin_of_shard,
    by_shard,
    is_up_to,
    latest_position,
    only_position,
    shard_of_position,
)
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.replays import ReplayedEvent, ReplayedProjections
from offerlog_application.reading.log_times import find_by_time
from offerlog_application.reading.read_budget import check_read
from offerlog_domain.errors import ArgumentError
from offerlog_domain.events import LIFECYCLE_EVENTS
from offerlog_domain.lifecycle import State
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived, find_last
from offerlog_infrastructure.postgres.archive.archived_rows import select_each
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import BEGIN, WITHIN, ends_of
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
_SELECT_BEGIN: LiteralString = f"SELECT {BEGIN}"
_SELECT_TORN: LiteralString = f"""
    SELECT e.originator_id::text, e.notification_id FROM offerlog_events e
    WHERE ({WITHIN.replace("notification_id", "e.notification_id").replace("%s", "%(ends)s")}) IS NOT TRUE
        AND EXISTS (
            SELECT FROM offerlog_events later
            WHERE later.originator_id = e.originator_id AND later.originator_version > e.originator_version
                AND {WITHIN.replace("notification_id", "later.notification_id").replace("%s", "%(ends)s")}
        )
    LIMIT 1
"""
"""An event behind a position, in whose stream a later one stands up to it."""
_SELECT_PARTS: LiteralString = f"""
    SELECT s.originator_id, ARRAY(
        SELECT e.notification_id FROM offerlog_events e
        WHERE e.originator_id = s.originator_id AND e.originator_version > s.last_version
        ORDER BY e.originator_version
    )
    FROM settled s JOIN archived_files f ON f.number = s.file
    WHERE ({WITHIN.replace("notification_id", "f.last_position").replace("%s", "%(ends)s")}) IS NOT TRUE
        AND (
            EXISTS (
                SELECT FROM offerlog_events e
                WHERE e.originator_id = s.originator_id AND e.originator_version > s.last_version
            ) OR EXISTS (
                SELECT FROM settled later
                WHERE later.originator_id = s.originator_id AND later.last_version > s.last_version
            )
        )
    ORDER BY s.originator_id, s.last_version
"""
"""Archived parts that may stand behind a position, and go on: each with what is in the table behind it."""
_SELECT_FOREIGN_FILES: LiteralString = f"""
    SELECT min(first_position), max(last_position) FROM archived_files
    WHERE first_position >> {SHARD_BITS} <> %s GROUP BY first_position >> {SHARD_BITS}
"""
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

    def settle(self, position: LogPosition | None) -> int:
        """Return the position of the last event up to a position; None for the end of the log.

        A position of another log gives the last foreign event up to it; 0 if there is none.
        """
        with self._connected() as connection:
            until = safe = self._application.log.safe_position()
            if position is not None:
                until = only_position(position)
                if shard_of_position(until) == shard_of_position(safe):
                    until = min(until, safe) if safe else until
            return select_last_event(connection, self._application.archived_files, until)

    def position_at(self, moment: datetime) -> int:
        """Return the position of the last event that was recorded by a time; 0 if there is none.

        See `find_by_time`.

        Raises:
            UnreadableEventError: A stored event is unknown to this build.
        """
        end = self.settle(None)
        return self.settle(find_by_time(begin_of_shard(end), end, moment, self.last_event))

    def ends_at(self, moment: datetime) -> LogPosition:
        """Return the position that `position_at` gives, of each log that has events in the table.

        Raises:
            UnreadableEventError: A stored event is unknown to this build.
        """
        ends = [self.position_at(moment)]
        with self._connected() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            foreign = cursor.execute(_SELECT_SHARDS, (self._find_number(connection),)).fetchall()
        ends += [find_by_time(first - 1, last, moment, self.last_event) for first, last in foreign]
        return latest_position(ends) or 0

    @again_if_replaced
    def last_event(self, position: int) -> tuple[int, datetime] | None:
        """Return the last event up to a position, of the log that it belongs to, with its time.

        Raises:
            UnreadableEventError: A stored event is unknown to this build.
        """
        datastore = self._application.reading
        with store_reached(datastore), datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            begin = begin_of_shard(position)
            found = cursor.execute(_SELECT_EVENT_UP_TO, (begin, position)).fetchone()
            archived = find_last(connection, self._application.archived_files, position)
        if archived is not None and archived[0] > (found[0] if found else begin):
            found = archived
        if found is None:
            return None
        place, *stored = found
        return place, self._application.event_mapper.event(*stored).event.recorded_at

    def check_position(self, position: LogPosition) -> None:
        """Check that no stream has a hole at a position; see `_check_streams`."""
        with self._connected() as connection:
            self._check_streams(connection, position)

    @contextmanager
    def replay(
        self, position: LogPosition, on_progress: Callable[[RebuildProgress], None]
    ) -> Iterator[ReplayedProjections]:
        """Build all projections as they stood at a position, beside the live ones; they go with the block.

        Of several logs, each event is cut by the one that has recorded it.
        """
        application = self._application
        staging = StagingSchema(application.log.datastore.schema, _PURPOSE)
        with self._connected() as connection, hold_rebuild_lock(connection, _LOCK_NUMBER):
            self._check_streams(connection, position)
            goal = by_shard(position).get(self._find_number(connection), 0)
            try:
                staging.open(connection, PROJECTIONS, goal, ends_of(position))
                staging.enter(connection)
                load_all_slices(application, connection, staging, PROJECTIONS, on_progress)
                on_progress(RebuildProgress("indexing", goal, goal))
                for projection in PROJECTIONS:
                    finish_projection(application, staging, projection)
                # Its statements name tables without a schema, and find those of the replay.
                with closing(OfferlogApplication(application.dsn, staging.name)) as replayed:
                    yield ReplayedProjections(
                        position, PostgresPerformance(replayed), _select_proofs(connection, position)
                    )
            finally:
                if not connection.closed:
                    with connection.cursor(row_factory=tuple_row) as cursor:
                        staging.close(cursor)

    def events_of(
        self, organization: str, action_map_id: UUID, state: State, position: LogPosition
    ) -> Generator[ReplayedEvent]:
        """Stream the events of a map that reached a state, up to a position, by position.

        Raises:
            ReadTimeoutError: A caller with a time limit waits for longer.
            UnreadableEventError: A stored event is unknown to this build.
        """
        topics, read = (
            self._application.event_mapper.topics(LIFECYCLE_EVENTS[state]),
            self._application.event_mapper.event,
        )
        for start, last in self._select_ranges(position):
            for behind in range(start, last, _WINDOW):
                check_read()
                end = min(behind + _WINDOW, last)
                for place, stream, version, topic, stored in self._select_window(behind, end, topics):
                    sealed = read(stream, version, topic, stored)
                    if (sealed.event.organization, sealed.event.action_map_id) == (
                        organization,
                        action_map_id,
                    ):
                        yield ReplayedEvent(place, sealed)

    def _select_ranges(self, position: LogPosition) -> Sequence[tuple[int, int]]:
        """Select the positions up to one, of each log: behind one, up to another; ascending.

        Of foreign events, those between the first and the last one that are here.
        """
        ends = by_shard(position)
        with self._connected() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            self._check_streams(connection, position)
            own = self._find_number(connection)
            found: list[tuple[int, int]] = []
            if own or len(ends) > 1:
                found = cursor.execute(_SELECT_SHARDS, (own,)).fetchall()
                found += cursor.execute(_SELECT_FOREIGN_FILES, (own,)).fetchall()
        firsts = {shard_of_position(first): first for first, _ in sorted(found, reverse=True)}
        lasts = {shard_of_position(last): last for _, last in sorted(found, key=itemgetter(1))}
        ranges = [(first - 1, min(lasts[shard], ends.get(shard, 0))) for shard, first in firsts.items()]
        if own in ends:
            ranges.append((begin_of_shard(ends[own]), ends[own]))
        return sorted(ranges)

    def _check_streams(self, connection: Connection[DictRow], position: LogPosition) -> None:
        """Check that no stream has a later event up to a position, and an earlier one behind it.

        Where slices have moved, a stream goes on in another log. So positions of several logs fit each other
        if they are of one moment, such as those of a report.

        Raises:
            ArgumentError: There is one.
        """
        if isinstance(position, int):
            return
        with connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(_SELECT_TORN, {"ends": ends_of(position)}).fetchone()
            found = found or self._find_torn_part(connection, position)
        if found is not None:
            raise ArgumentError(
                "as_of",
                f"{position} has positions of several moments: it leaves out the event at {found[1]:,}, but"
                f" not a later one of its stream {found[0]}. Take all of the position of one report",
            )

    @again_if_replaced
    def _find_torn_part(
        self, connection: Connection[DictRow], position: LogPosition
    ) -> tuple[str, int] | None:
        """Return a stream, and its first event behind a position, if that is archived and a later one is not.

        A stream goes on in the table, or in another file, behind its archived part.
        """
        with connection.cursor(row_factory=tuple_row) as cursor:
            parts = cursor.execute(_SELECT_PARTS, {"ends": ends_of(position)}).fetchall()
        behind: dict[UUID, list[int]] = dict(parts)
        places: dict[UUID, list[int]] = {stream: [] for stream in behind}
        for row in select_each(connection, self._application.archived_files, list(behind)):
            places[row[1]].append(row[0])
        for stream, archived in places.items():
            missing = [one for one in (*archived, *behind[stream]) if not is_up_to(one, position)]
            rest = [*archived, *behind[stream]]
            if missing and any(is_up_to(one, position) for one in rest[rest.index(missing[0]) :]):
                return str(stream), missing[0]
        return None

    @staticmethod
    def _find_number(connection: Connection[DictRow]) -> int:
        """Return the number of the server; 0 where there is one."""
        with connection.cursor(row_factory=tuple_row) as cursor:
            (begin,) = cursor.execute(_SELECT_BEGIN).fetchone() or (0,)
        return shard_of_position(begin)

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


def _select_proofs(connection: Connection[DictRow], position: LogPosition) -> Sequence[Proof]:
    """Select the proofs of the replayed projections; the connection uses their schema."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_SELECT_PROOFS).fetchall()
    return [Proof(name, position, events, digest, waiting, 0) for name, events, digest, waiting in rows]
