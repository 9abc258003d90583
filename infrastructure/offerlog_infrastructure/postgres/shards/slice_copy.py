"""The copy of a slice on the target: one transaction, from the first row up to the take.

Nobody sees its rows before the commit, and a mover that is killed leaves nothing to clean up. Events go
straight into their partition: an insert into the parent would hold up the safe horizon of the target for as
long. Refusals wait in a temporary table, as whoever fences the target waits for inserts there. Those that are
known right before the fence are inserted then, and the few newer ones behind it.

Each round reads the source in one snapshot, in which all its projections are at one position. Up to that
position the copied events are folded, so both sides can be compared there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_application.ports.shards import ShardError
from offerlog_domain.stream_ids import stream_bounds, token_of
from offerlog_infrastructure.postgres.erasure.blanking import blank_events
from offerlog_infrastructure.postgres.erasure.erasures import ERASED
from offerlog_infrastructure.postgres.shards.slice_comparison import compare_dead_letters, compare_tables
from offerlog_infrastructure.postgres.shards.slice_counts import FoldedSlice
from offerlog_infrastructure.postgres.shards.slice_files import SliceFiles
from offerlog_infrastructure.postgres.shards.slice_range import (
    BLOCKS,
    EVENTS,
    HOLDS,
    NAMED_ACTIONS,
    REFUSALS,
    TOMBSTONES,
    VISITORS,
    SliceRange,
)
from offerlog_infrastructure.postgres.shards.slice_rest import Numbers, read_numbers
from offerlog_infrastructure.postgres.shards.table_copy import TableCopy
from offerlog_infrastructure.postgres.shards.taken_counts import TakenSlice, delete_counts

STAND_STILL_SECONDS: Final = 60.0
"""Seconds to wait for projections that do not move, and for erasures that are not complete."""

_LOOK_SECONDS: Final = 0.02

_ONE_SNAPSHOT: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SELECT_STATE: LiteralString = """
    SELECT min(notification_id), max(notification_id), (
        SELECT count(*) FROM erasing_visitors WHERE digest BETWEEN %s AND %s
    ), pg_snapshot_xmin(pg_current_snapshot())::text, (SELECT epoch FROM log_epoch)
    FROM offerlog_tracking
"""
_ALLOW_PARTITION: LiteralString = "SET LOCAL offerlog.moves_slice = 'on'"
_CREATE_STAGED: LiteralString = """
    CREATE TEMP TABLE staged_refusals (
        LIKE {refusals}, PRIMARY KEY (id), is_added boolean NOT NULL DEFAULT false
    );
    CREATE INDEX ON pg_temp.staged_refusals (id) WHERE NOT is_added;
    CREATE TEMP TABLE newer_refusals (LIKE {refusals});
    CREATE TEMP TABLE newer_blocks (LIKE {blocks} INCLUDING IDENTITY)
"""
_SELECT_NEWER_STREAMS: LiteralString = """
    SELECT originator_id, min(originator_version) FROM offerlog_events WHERE {} GROUP BY 1
"""
_DONE: LiteralString = "SELECT token FROM erased_visitors WHERE {} AND completed_at IS NOT NULL"

_BLANK_ERRORS: LiteralString = """
    UPDATE pg_temp.dead_letters SET error = %s WHERE originator_id BETWEEN %s AND %s
"""
_LAST_POSITION: Final = (1 << 63) - 1

_ADD_REFUSALS: LiteralString = """
    WITH added AS (
        UPDATE pg_temp.staged_refusals SET is_added = true WHERE NOT is_added RETURNING id, {columns}
    )
    INSERT INTO {} (id, {columns}) OVERRIDING SYSTEM VALUE
    SELECT id, {columns} FROM added ORDER BY id
"""
"""They keep their numbers, as those of two shards differ: so a list of refusals goes on behind a move."""


class SliceCopy:
    """The rows of a slice, on their way; `begin` opens the transaction, which the caller commits.

    Args:
        source: A connection to the source, in auto-commit mode.
        target: A connection to the target, in a transaction.
        schema: The schema of the tables.
        move: The slice, and the number of the source.
        files: The files of the slice, which are copied.

    Attributes:
        folded: The counts of the slice.
        events: The number of copied events.
        epoch: The epoch of the source at the last round.
        numbers: The numbers up to which refusals and names of blocked offers are copied.
        dead: The streams with events that wait as dead letters, as `add_most` has found them.
    """

    def __init__(
        self,
        source: Connection[Any],
        target: Connection[Any],
        schema: str,
        move: tuple[SliceRange, int],
        files: SliceFiles,
    ) -> None:
        slice_range, shard = move
        self._source = source
        self._target = target
        self._schema = schema
        self._range = slice_range
        self._shard = shard
        self._files = files
        self._from = source.cursor(binary=True, row_factory=tuple_row)
        self._into = target.cursor(binary=True, row_factory=tuple_row)
        self._position = 0
        self._oldest = "0"
        self.epoch = 0
        self.numbers = Numbers(0, 0)
        self._erased: set[int] = set()
        self.dead: set[UUID] = set()
        self._tables = TableCopy(self._from, self._into, schema, slice_range)
        self._live = self._tables.live
        self.folded = FoldedSlice(target, schema, slice_range)
        self.events = 0

    def copy_all(self, on_events: Callable[[int], None] = lambda _: None) -> None:
        """Copy all rows, and fold the events; calls back with the number of events that are folded.

        Raises:
            ShardError: The projections of the source stand still, or an erasure there.
        """
        self._into.execute(_ALLOW_PARTITION)
        self._target.execute(
            sql.SQL(_CREATE_STAGED).format(refusals=self._live(REFUSALS), blocks=self._live(BLOCKS))
        )
        self.folded.begin()
        with self._snapshot() as (position, oldest):
            for table in (VISITORS, TOMBSTONES, HOLDS, BLOCKS, NAMED_ACTIONS):
                self._tables.copy(table)
            self._tables.copy(REFUSALS, into="staged_refusals", columns=f"id, {REFUSALS.columns}")
            self.events = self._tables.copy(EVENTS, self._events_up_to(position), self._range.partition)
            self._erased = self._select_erased()
        self._position, self._oldest = position, oldest
        self._files.store(self._into)
        self._files.store_settled(self._into)
        self.events += self._files.events
        if self.events:  # without its figures, the server may read all of it to find what is newer
            self._into.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(self._range.partition)))
        self.folded.fold_all(on_events)

    def catch_up(self, *, compares: bool = False) -> int:
        """Copy what has come up to the position of the projections; returns the number of events.

        Args:
            compares: True to compare both sides in the snapshot of the source.

        Raises:
            ShardError: As `copy_all` raises it; or the sides differ.
        """
        with self._snapshot() as (position, oldest):
            newer, count = self._copy_newer(position)
            if compares:
                self.folded.fold_newer(newer)
                compare_tables(
                    self._from, self._into, self._schema, self._range, self._events_up_to(position)
                )
                compare_dead_letters(
                    self._from, self._schema, self._range, self._shard, self.folded.dead_streams()
                )
                self.folded.check_events(self.events)
        if not compares:  # outside of the snapshot: it may take long, and a silent session is ended
            self.folded.fold_newer(newer)
        self._position, self._oldest = position, oldest
        return count

    def note_numbers(self) -> None:
        """Note up to which number refusals and names of blocked offers are copied by the next round.

        Between this and that round, the writers of now are waited for.
        """
        self.numbers = read_numbers(self._source)

    def add_most(self, taken: TakenSlice) -> None:
        """Add the counts and the refusals up to now to those of the target, before the slice is fenced.

        The caller holds the rows of the positions, so no projector writes the counts meanwhile. Whoever
        fences the target waits for the inserted refusals, up to the commit.

        Raises:
            ShardError: Some events are not folded, or were twice.
        """
        self.folded.check_events(self.events)
        self.dead = {stream for _, stream, _ in self.folded.dead_streams()}
        delete_counts(self._into, self._schema, taken)
        self.folded.add(taken)
        self._add_refusals()
        self._files.take(self._into)

    def copy_rest(self, taken: TakenSlice) -> None:
        """Copy and add the rest as a round does: it finds what erasures change, and what cannot be folded.

        Raises:
            ShardError: Some events are not folded.
        """
        before = self.folded.begin_again()
        self._files.store(self._into)
        self._files.take(self._into)
        with self._source.transaction():
            self._from.execute(_ONE_SNAPSHOT)
            newer, count = self._copy_newer(_LAST_POSITION)
        self.folded.fold_newer(newer)
        self.folded.check_events(count, before)
        self.folded.add(taken)
        self._add_refusals()

    def _add_refusals(self) -> None:
        columns = sql.SQL(REFUSALS.columns)
        self._into.execute(sql.SQL(_ADD_REFUSALS).format(self._live(REFUSALS), columns=columns))

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[int, str]]:
        """Open a snapshot of the source: all projections at one position, no erasure open, and no new file.

        Yields the position, and the oldest transaction that may not be seen.
        """
        until = time.monotonic() + STAND_STILL_SECONDS
        while True:
            with self._source.transaction():
                self._from.execute(_ONE_SNAPSHOT)
                state: Any = self._from.execute(_SELECT_STATE, self._range.digests).fetchone()
                behind, ahead, erasing, oldest, self.epoch = state
                if behind == ahead and not erasing and self._files.is_current():
                    yield ahead, oldest
                    return
            if time.monotonic() > until:
                if erasing:
                    raise ShardError(
                        f"visitors of the slice are being erased on shard {self._shard} ({erasing:,}), and"
                        " that does not end: complete it by `offerlog erase`, and move the slice then"
                    )
                if behind == ahead:
                    raise ShardError(
                        f"erasures on shard {self._shard} replace archived files of slice"
                        f" {self._range.number:x} faster than they can be copied: move the slice when fewer"
                        " visitors are being erased"
                    )
                raise ShardError(
                    f"the projections of shard {self._shard} stand at different positions: look at"
                    " `offerlog projections status`, and move the slice when they have caught up"
                )
            self._into.execute("SELECT")  # a session that is silent inside a transaction is ended
            self._files.store(self._into)
            time.sleep(_LOOK_SECONDS)

    def _copy_newer(self, until: int) -> tuple[dict[UUID, int], int]:
        """Copy the events up to a position, and whatever else has changed since the last round.

        Returns:
            The streams of these events, each with its first version that is new; and the number of events.
        """
        condition = sql.SQL("{} AND notification_id <= {}").format(self.newer(), sql.Literal(until))
        newer = self._select_streams(condition)
        tokens = sorted({token_of(stream) for stream in self._select_streams(self.newer())})
        count = self._tables.copy(EVENTS, condition, self._range.partition) if newer else 0
        for table in (VISITORS, NAMED_ACTIONS) if tokens else ():
            known = sql.SQL("{} = ANY({})").format(sql.Identifier(table.key), sql.Literal(tokens))
            self._tables.replace(table, known)
        self._tables.replace(HOLDS, sql.SQL("true"))
        self._copy_erasures()
        has_erasures = self._has_erasures()
        self._copy_blocks(checks=has_erasures)
        self._copy_refusals(checks=has_erasures)
        self.events += count
        return newer, count

    def _select_streams(self, condition: sql.Composable) -> dict[UUID, int]:
        """Select the streams with some events, each with the first version of these."""
        return dict(self._from.execute(sql.SQL(_SELECT_NEWER_STREAMS).format(condition)).fetchall())

    def _copy_erasures(self) -> None:
        """Erase on the target whoever was erased on the source meanwhile."""
        erased = self._select_erased() - self._erased
        if not erased:
            return
        tokens = sql.Literal(sorted(erased))
        self._tables.copy(TOMBSTONES, sql.SQL("token = ANY({})").format(tokens))
        for table in (VISITORS, NAMED_ACTIONS):
            self._into.execute(
                sql.SQL("DELETE FROM {} WHERE {} = ANY({})").format(
                    self._live(table), sql.Identifier(table.key), tokens
                )
            )
        for token in erased:
            blank_events(self._target, token)
            self._into.execute(_BLANK_ERRORS, (ERASED, *stream_bounds(token)))
        self._into.execute("SET LOCAL synchronous_commit TO DEFAULT")  # the steps of an erasure do without
        self._erased |= erased

    def _has_erasures(self) -> bool:
        """Return True if a visitor was erased since the last round, of any slice: some have no token."""
        row = self._from.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(self._live(TOMBSTONES), self._changed())
        ).fetchone()
        return row == (True,)

    def _copy_blocks(self, *, checks: bool) -> None:
        self._tables.copy(BLOCKS, self._changed(), "newer_blocks")
        self._into.execute(
            sql.SQL(
                "INSERT INTO {} ({columns}) SELECT {columns} FROM pg_temp.newer_blocks ON CONFLICT DO NOTHING"
            ).format(self._live(BLOCKS), columns=sql.SQL(BLOCKS.columns))
        )
        self._into.execute("TRUNCATE pg_temp.newer_blocks")
        if not checks:
            return
        count = sql.SQL("SELECT count(*) FROM {} WHERE {}")
        there = self._from.execute(count.format(self._live(BLOCKS), self._range.rows_of(BLOCKS))).fetchone()
        here = self._into.execute(count.format(self._live(BLOCKS), self._range.rows_of(BLOCKS))).fetchone()
        if here != there:  # some were deleted, with their visitor
            self._tables.replace(BLOCKS, sql.SQL("true"))

    def _copy_refusals(self, *, checks: bool) -> None:
        columns = f"id, {REFUSALS.columns}"
        self._tables.copy(REFUSALS, self._changed(), "newer_refusals", columns)
        self._into.execute(
            sql.SQL(
                "INSERT INTO pg_temp.staged_refusals ({columns}) SELECT {columns} FROM pg_temp.newer_refusals"
                " ON CONFLICT DO NOTHING"
            ).format(columns=sql.SQL(columns))
        )
        self._into.execute("TRUNCATE pg_temp.newer_refusals")
        if not checks:
            return
        there = self._from.execute(
            sql.SQL("SELECT count(*), sum(id) FROM {} WHERE {}").format(
                self._live(REFUSALS), self._range.rows_of(REFUSALS)
            )
        ).fetchone()
        here = self._into.execute("SELECT count(*), sum(id) FROM pg_temp.staged_refusals").fetchone()
        if here != there:  # some belong to nobody any more, or were deleted by age
            self._into.execute("TRUNCATE pg_temp.staged_refusals")
            self._into.execute(
                sql.SQL("DELETE FROM {} WHERE {}").format(self._live(REFUSALS), self._range.rows_of(REFUSALS))
            )
            self._tables.copy(REFUSALS, into="staged_refusals", columns=columns)

    def _select_erased(self) -> set[int]:
        found = self._from.execute(sql.SQL(_DONE).format(self._range.rows_of(TOMBSTONES)))
        return {token for (token,) in found.fetchall()}

    def _events_up_to(self, position: int) -> sql.Composed:
        """Events that the source has recorded up to a position, and all that came from other shards."""
        return sql.SQL("(notification_id <= {} OR notification_id >> {} <> {})").format(
            sql.Literal(position), sql.Literal(SHARD_BITS), sql.Literal(self._shard)
        )

    def newer(self) -> sql.Composed:
        """Return the condition of events of the slice that the source has recorded since the last round."""
        return sql.SQL("{} AND notification_id > {} AND notification_id < {}").format(
            self._range.rows_of(EVENTS),
            sql.Literal(max(self._position, self._shard << SHARD_BITS)),
            sql.Literal(self._shard + 1 << SHARD_BITS),
        )

    def _changed(self) -> sql.Composed:
        """Rows that were written since the last round, perhaps some older ones too."""
        return sql.SQL("age(xmin) <= age({}::xid)").format(sql.Literal(str(int(self._oldest) & 0xFFFFFFFF)))
