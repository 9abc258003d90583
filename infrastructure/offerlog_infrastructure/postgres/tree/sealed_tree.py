"""The tree of a store, as audits read it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.positions import SHARD_BITS, begin_of_shard
from offerlog_application.ports.sealed_tree import (
    ForeignEvents,
    KeptCheckpoint,
    LeafTile,
    MovedEvents,
    TreeProgress,
)
from offerlog_domain.service_events import VisitorErased
from offerlog_domain.transparency.leaves import RawRow, StoredRow
from offerlog_domain.transparency.tiles import Tile
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived
from offerlog_infrastructure.postgres.archive.archived_rows import OWN_FILES
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import BEGIN, END, LAST_DRAWN, SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.tree.progress import read_progress
from offerlog_infrastructure.postgres.tree.raw_rows import read_raw_rows

_ROW_COLUMNS: LiteralString = "notification_id, uuid_send(originator_id), originator_version, topic, state"
_SLICE: LiteralString = "get_byte(uuid_send(originator_id), 0) >> 4"
_SELECT_TILES: LiteralString = """
    SELECT level::int, n, hashes FROM unnest(%s::smallint[], %s::bigint[]) AS wanted (level, n)
    JOIN tree_tiles USING (level, n)
"""
_LEAF_TILE: LiteralString = (
    "SELECT n, first_position, last_position, gaps, hashes FROM tree_tiles WHERE level = 0"
)
_SELECT_LEAF_TILES: LiteralString = f"{_LEAF_TILE} AND n >= %s AND n < %s ORDER BY n"
_SELECT_LEAF_TILE_OF: LiteralString = (
    f"{_LEAF_TILE} AND first_position <= %s ORDER BY first_position DESC LIMIT 1"
)
_SELECT_ROWS: LiteralString = f"""
    SELECT {_ROW_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id
"""
_SELECT_ERASURES: LiteralString = """
    SELECT originator_id, max(notification_id) FROM offerlog_events
    WHERE originator_id = ANY(%s::uuid[]) AND starts_with(topic, %s) GROUP BY originator_id
"""
_SELECT_IMPOSSIBLE_ROWS: LiteralString = f"""
    (SELECT {_ROW_COLUMNS} FROM offerlog_events WHERE notification_id < 1 ORDER BY notification_id LIMIT %s)
    UNION ALL
    (
        SELECT {_ROW_COLUMNS} FROM offerlog_events
        WHERE notification_id > {LAST_DRAWN} AND notification_id <= {END}
        ORDER BY notification_id LIMIT %s
    )
    UNION ALL
    (
        SELECT {_ROW_COLUMNS} FROM offerlog_events
        WHERE (notification_id BETWEEN 1 AND {BEGIN} OR notification_id > {END}) AND (
            NOT EXISTS (SELECT FROM shard)
            OR substr(originator_id::text, 2, 9) = '0000000-0' -- with the second 0: of an organization
            OR {_SLICE} NOT IN (
                SELECT slice FROM slices WHERE is_owned UNION SELECT slice FROM leaving_slices
            )
        )
        ORDER BY notification_id LIMIT %s
    )
"""
_SELECT_MOVED: LiteralString = """
    SELECT slice::int, target::int, events, first_position, last_position, digest FROM moved_events ORDER BY 1
"""
_SELECT_FOREIGN: LiteralString = f"""
    SELECT slice, shard, sum(events)::bigint FROM (
        SELECT {_SLICE} AS slice, (notification_id >> {SHARD_BITS})::int AS shard, count(*) AS events
        FROM offerlog_events
        WHERE (notification_id BETWEEN 1 AND {BEGIN} OR notification_id > {END})
            AND EXISTS (SELECT FROM shard)
        GROUP BY 1, 2
        UNION ALL
        SELECT slice::int, (first_position >> {SHARD_BITS})::int, events FROM archived_files
        WHERE NOT ({OWN_FILES})
    ) AS parts GROUP BY 1, 2 ORDER BY 1, 2
"""
_SELECT_CHECKPOINTS: LiteralString = "SELECT origin, size, note FROM checkpoints ORDER BY size, signed_at"
_SELECT_NEWEST: LiteralString = (
    "SELECT origin, size, note FROM checkpoints WHERE origin = %s ORDER BY size DESC LIMIT 1"
)
_INSERT_CHECKPOINT: LiteralString = """
    INSERT INTO checkpoints AS kept (origin, size, signed_at, note) VALUES (%s, %s, %s, %s)
    ON CONFLICT (origin, size) DO UPDATE SET note = EXCLUDED.note
    WHERE split_part(kept.note, E'\\n\\n', 1) = split_part(EXCLUDED.note, E'\\n\\n', 1)
        AND length(kept.note) < length(EXCLUDED.note)
"""
_SELECT_TOMBSTONES: LiteralString = (
    "SELECT number, token, organization, erased_at FROM erased_visitors WHERE number > %s ORDER BY number"
)
_SELECT_RETIRED: LiteralString = "SELECT FROM retired_origins WHERE origin = %s"
_SELECT_BROKEN_STREAMS: LiteralString = """
    WITH parts AS (
        SELECT originator_id, max(originator_version) AS last, count(*) AS events
        FROM offerlog_events GROUP BY 1
        UNION ALL -- an archived part has no gap: a stream with one is not moved
        SELECT originator_id, max(last_version), max(last_version) FROM settled GROUP BY 1
    ), versions AS (
        SELECT originator_id, max(last) AS last, sum(events) AS events FROM parts GROUP BY 1
    )
    SELECT originator_id::text FROM versions WHERE last <> events
    UNION SELECT c.originator_id::text FROM current_offers c LEFT JOIN versions v USING (originator_id)
        WHERE c.events > coalesce(v.last, 0)
    UNION SELECT p.originator_id::text FROM parked_signals p LEFT JOIN versions v USING (originator_id)
        WHERE p.version > coalesce(v.last, 0)
    ORDER BY 1 LIMIT %s
"""


class PostgresSealedTree:
    """The application's `SealedTree`."""

    def __init__(self, application: OfferlogApplication, clock: Clock) -> None:
        self._application = application
        self._datastore = application.reading
        self._clock = clock

    def progress(self) -> TreeProgress:
        """Return how far the log is in the tree."""
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            return read_progress(cursor, self._application.event_mapper, self._clock.now())

    def last_position(self) -> int:
        """Return the last position in the log."""
        ((last,),) = self._rows(SELECT_LAST_POSITION)
        return int(last or 0)

    def tile(self, level: int, n: int) -> bytes:
        """Return the hashes of a tile; empty if the tree does not have it."""
        return self.tiles([Tile(level, n)]).get((level, n), b"")

    def tiles(self, wanted: Sequence[Tile]) -> Mapping[tuple[int, int], bytes]:
        """Return the hashes of tiles by level and number."""
        rows = self._rows(_SELECT_TILES, [one.level for one in wanted], [one.n for one in wanted])
        return {(level, n): hashes for level, n, hashes in rows}

    def leaf_tiles(self, start: int, end: int) -> Sequence[LeafTile]:
        """Return the tiles of level 0 from number `start` to before `end`."""
        return [LeafTile(*row) for row in self._rows(_SELECT_LEAF_TILES, start, end)]

    def leaf_tile_of(self, position: int) -> LeafTile | None:
        """Return the last tile of level 0 that does not begin behind a position."""
        rows = self._rows(_SELECT_LEAF_TILE_OF, position)
        return LeafTile(*rows[0]) if rows else None

    @again_if_replaced
    def rows(self, after: int, until: int) -> Sequence[StoredRow]:
        """Return the stored events behind a position and up to another, in order."""
        after = max(after, begin_of_shard(until))
        rows = self._rows(_SELECT_ROWS, after, until)
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            archived = add_archived(connection, self._application.archived_files, (), after, until)
        known = {row[0] for row in rows}
        more = [(row[0], row[1].bytes, *row[2:]) for row in archived if row[0] not in known]
        return sorted([*rows, *more], key=itemgetter(0)) if more else rows

    @again_if_replaced
    def raw_rows(self, after: int, until: int) -> Sequence[RawRow]:
        """Return the same events in bytes."""
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            lift_answer_limit(connection)
            return read_raw_rows(connection, self._application.archived_files, after, until)

    def erasures(self, streams: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the position of the `VisitorErased` in each of these streams; none where there is none."""
        return dict(self._rows(_SELECT_ERASURES, list(streams), f"{VisitorErased.stored_name}."))

    def impossible_rows(self, limit: int) -> Sequence[StoredRow]:
        """Return events at positions that they cannot have."""
        return self._rows(_SELECT_IMPOSSIBLE_ROWS, limit, limit, limit)

    def moved_events(self) -> Sequence[MovedEvents]:
        """Return what was recorded here and lies elsewhere, slice by slice."""
        return [
            MovedEvents(number, shard, events, first, last, int(digest))
            for number, shard, events, first, last, digest in self._rows(_SELECT_MOVED)
        ]

    def foreign_events(self) -> Sequence[ForeignEvents]:
        """Return what lies here and was recorded elsewhere."""
        return [ForeignEvents(*found) for found in self._rows(_SELECT_FOREIGN)]

    def checkpoints(self) -> Iterator[KeptCheckpoint]:
        """Return the checkpoints in the store, the smallest first."""
        for origin, size, note in self._rows(_SELECT_CHECKPOINTS):
            yield _kept(origin, size, note)

    def newest_checkpoint(self, origin: str) -> KeptCheckpoint | None:
        """Return the largest checkpoint of an origin in the store."""
        rows = self._rows(_SELECT_NEWEST, origin)
        return _kept(*rows[0]) if rows else None

    def add_checkpoint(self, origin: str, size: int, signed_at: datetime, text: str) -> None:
        """Keep a checkpoint; one of the same origin and size stays, but for further signatures."""
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            cursor.execute(_INSERT_CHECKPOINT, (origin, size, signed_at.astimezone(UTC), text))

    def tombstones(self, behind: int) -> Sequence[tuple[int, Tombstone]]:
        """Return the visitors who were erased, with the numbers of their erasures, behind a number."""
        return [(number, Tombstone(*rest)) for number, *rest in self._rows(_SELECT_TOMBSTONES, behind)]

    def is_retired(self, origin: str) -> bool:
        """Return True if nothing may be signed under this name any more, as a backup was restored."""
        return bool(self._rows(_SELECT_RETIRED, origin))

    def broken_streams(self, limit: int) -> Sequence[str]:
        """Return streams of which an event is missing."""
        return [stream for (stream,) in self._rows(_SELECT_BROKEN_STREAMS, limit)]

    def _rows(self, statement: LiteralString, *values: Any) -> list[Any]:
        """Return the rows of a statement, in binary form, however long it takes."""
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            lift_answer_limit(connection)  # an audit reads the whole log
            return cursor.execute(statement, values, prepare=True).fetchall()


def _kept(origin: str, size: int, note: str) -> KeptCheckpoint:
    return KeptCheckpoint(f"the table checkpoints ({origin}, {size})", note)
