"""The sealer: adds the events of the log to the tree, in the order of their positions.

It works on the projector's connection, behind the same safe horizon. One process seals, by an advisory lock
of that connection. A page of events, the tiles that it changes and the progress are one transaction. So a
process that is killed leaves a tree that the next one continues.
"""

import time
from collections.abc import Sequence
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.positions import begin_of_shard
from offerlog_domain.errors import OfferlogError
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.leaves import RawRow, hash_rows, position_of
from offerlog_domain.transparency.tiles import TILE_WIDTH, Tile, list_tiles, pack_gaps, unpack_positions
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import select_end
from offerlog_infrastructure.postgres.tree.raw_rows import RAW_COLUMNS, add_archived_raw

PAGE: Final = 16 * TILE_WIDTH
"""Most events that one transaction adds to the tree."""

SEAL_SECONDS: Final = 0.5
"""Seconds between two runs of the sealer: more often writes the last tile more often."""

_LOCK_NUMBER: Final = 200
"""The second key of the sealer's advisory lock; the numbers of projections and rebuilds are smaller."""

_TRY_LOCK: LiteralString = "SELECT pg_try_advisory_lock(%s, %s) AS mine"

_SET_LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '100ms'"
"""A locked table of the tree must not hold up the projections, which wait for locks on this connection."""

_SELECT_HAS_UNSEALED: LiteralString = """
    SELECT EXISTS (
        SELECT FROM offerlog_events
        WHERE notification_id <= %s
          AND notification_id > greatest(%s, (SELECT position FROM tree_progress))
    ) AS new
"""
"""Asked before a row is locked: a row lock is a write, and an idle service writes nothing."""

_LOCK_PROGRESS: LiteralString = "SELECT position, size FROM tree_progress FOR UPDATE"

_SELECT_PAGE: LiteralString = f"""
    SELECT {RAW_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
"""

_SELECT_LAST_MOVED: LiteralString = "SELECT coalesce(max(last_position), 0) FROM moved_events"
"""A move waits until the tree has the events of its slice. Afterwards the tree alone has their leaves."""

_SELECT_EDGE: LiteralString = """
    SELECT level::int, hashes, first_position, gaps
    FROM unnest(%s::int[], %s::bigint[]) AS edge (level, n) JOIN tree_tiles USING (level, n)
"""

_UPSERT_TILES: LiteralString = """
    INSERT INTO tree_tiles (level, n, hashes, first_position, last_position, gaps)
    SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bytea[])
    ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes,
        first_position = excluded.first_position, last_position = excluded.last_position, gaps = excluded.gaps
"""

_UPDATE_PROGRESS: LiteralString = "UPDATE tree_progress SET position = %s, size = %s"


class TreeDamagedError(OfferlogError):
    """The tables of the tree were changed, so that it cannot be continued; an audit says where."""


class _Edge(NamedTuple):
    """The right end of the tree, as it is after a transaction.

    Attributes:
        tree: The partial tiles.
        positions: The positions of the events of the partial tile of level 0.
        archive_end: The last archived position. Only what is in the tree is archived, so it matters for a
            tree that is made anew.
    """

    tree: GrowingTree
    positions: list[int]
    archive_end: int = 0


class TreeSealer:
    """Adds events to the tree; for the thread and the connection of one projector.

    Args:
        lock_space: The first key of the advisory lock.
        files: The archive, for a tree that is made anew.
    """

    def __init__(self, lock_space: int, files: ArchivedFiles) -> None:
        self._files = files
        self._lock_space = lock_space
        self._edge: _Edge | None = None
        self._is_mine = False
        self._due = 0.0

    def begin(self) -> None:
        """Forget a connection that was lost, and its lock."""
        self._edge, self._is_mine, self._due = None, False, 0.0

    def is_due(self) -> bool:
        """Return True if it is time to seal again."""
        return time.monotonic() >= self._due

    def seal(self, connection: Connection[DictRow], safe: int) -> None:
        """Add a page of events up to a position to the tree, in one transaction.

        Does nothing if another process seals. After a full page the next one is due at once.

        Args:
            connection: In auto-commit mode.
            safe: The safe horizon.

        Raises:
            TreeDamagedError: The tables of the tree do not fit each other.
            psycopg.Error: The store is in trouble; nothing was added.
        """
        self._due = time.monotonic() + SEAL_SECONDS
        if not self._is_mine:
            row = connection.execute(_TRY_LOCK, (self._lock_space, _LOCK_NUMBER)).fetchone()
            self._is_mine = row is not None and bool(row["mine"])
            if not self._is_mine:
                return
        edge, self._edge = self._edge, None  # after an error it is read anew
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            cursor.execute(_SET_LOCK_TIMEOUT)
            asked = safe, begin_of_shard(safe)
            if cursor.execute(_SELECT_HAS_UNSEALED, asked, prepare=True).fetchone() == (True,):
                edge, is_full = _seal_page(cursor, self._files, edge, safe)
                self._due = 0.0 if is_full else self._due
        self._edge = edge


def _seal_page(
    cursor: Cursor[Any], files: ArchivedFiles, edge: _Edge | None, safe: int
) -> tuple[_Edge, bool]:
    """Add one page.

    Args:
        cursor: In a transaction.
        files: The archive.
        edge: The right end of the tree, if it is known.
        safe: The last position to add.

    Returns:
        The right end afterwards; and True if more may be left.
    """
    progress = cursor.execute(_LOCK_PROGRESS, prepare=True).fetchone()
    if progress is None:
        raise TreeDamagedError("the table tree_progress is empty")
    position, size = progress
    behind = max(position, begin_of_shard(safe))
    rows: list[RawRow] = cursor.execute(_SELECT_PAGE, (behind, safe, PAGE), prepare=True).fetchall()
    if edge is None or edge.tree.size != size:
        (moved,) = cursor.execute(_SELECT_LAST_MOVED).fetchone() or (0,)
        if moved > position:
            raise TreeDamagedError(
                f"events up to position {moved} were moved to other servers, so the tree cannot be made anew"
                f" from position {position}: restore its tables from a backup"
            )
        edge = _load_edge(cursor, size)
        edge = edge._replace(archive_end=select_end(cursor.connection))
    if position < edge.archive_end:
        rows = add_archived_raw(cursor.connection, files, rows, position, safe, limit=PAGE)
    if rows:
        positions = [*edge.positions, *(position_of(row) for row in rows)]
        _write_tiles(cursor, size, edge.tree.append(hash_rows(rows)[0]), positions)
        cursor.execute(_UPDATE_PROGRESS, (positions[-1], edge.tree.size), prepare=True)
        edge = edge._replace(positions=positions[len(positions) - edge.tree.size % TILE_WIDTH :])
    return edge, len(rows) == PAGE


def _load_edge(cursor: Cursor[Any], size: int) -> _Edge:
    """Read the partial tiles of the tree of a size."""
    wanted = [tile for tile in list_tiles(size) if not tile.is_full]
    found = cursor.execute(
        _SELECT_EDGE, ([one.level for one in wanted], [one.n for one in wanted])
    ).fetchall()
    try:
        tree = GrowingTree(size, {level: hashes for level, hashes, _, _ in found})
        positions = [
            position
            for level, hashes, first, gaps in found
            if level == 0
            for position in unpack_positions(first, len(hashes) // HASH_BYTES, gaps)
        ]
    except (ValueError, NoteError) as error:
        raise TreeDamagedError(
            f"the tree cannot be continued: {error}; see `offerlog audit verify`"
        ) from error
    return _Edge(tree, positions)


def _write_tiles(
    cursor: Cursor[Any], size: int, changed: dict[Tile, bytes], positions: Sequence[int]
) -> None:
    """Write the tiles that changed.

    Args:
        cursor: In the transaction.
        size: Number of leaves before.
        changed: The tiles with all of their hashes.
        positions: Those of the events from the first one of the partial tile on.
    """
    base = size // TILE_WIDTH
    ends: list[tuple[int | None, int | None, bytes | None]] = []
    for tile in changed:
        if tile.level:
            ends.append((None, None, None))
            continue
        start = (tile.n - base) * TILE_WIDTH
        mine = positions[start : start + tile.width]
        ends.append((mine[0], mine[-1], pack_gaps(mine)))
    columns: list[list[Any]] = [
        [tile.level for tile in changed],
        [tile.n for tile in changed],
        list(changed.values()),
        *(list(column) for column in zip(*ends, strict=True)),
    ]
    cursor.execute(_UPSERT_TILES, columns, prepare=True)
