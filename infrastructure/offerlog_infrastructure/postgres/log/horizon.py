"""The safe horizon of readers that follow the log: no event can appear at or below it any more.

Positions are drawn from a sequence while transactions are open. So a lower position may become visible after
a higher one. But an INSERT or COPY takes ROW EXCLUSIVE on the events table *before* it draws its first
position. The method: read the sequence's last value H; then list the transactions that hold that lock; when
those have ended, every position up to H is committed or never will be. No writer waits, nothing is guessed,
and transactions that do not write events do not matter.
"""

import time
from typing import Any, Final, LiteralString

from psycopg import Cursor

from offerlog_application.ports.positions import SHARD_BITS, LogPosition, begin_of_shard, by_shard

POSITIONS_SEQUENCE: Final = "log_positions"
"""The sequence from which positions are drawn."""

LAST_DRAWN: Final[LiteralString] = f"(SELECT last_value FROM {POSITIONS_SEQUENCE})"
"""The last position that the log has given. Readers never reach an event beyond it, inserted by hand.

A statement reads the sequence after it has begun to see events, so the value is never behind them.
"""

BEGIN: Final[LiteralString] = f"(SELECT last_value >> {SHARD_BITS} << {SHARD_BITS} FROM {POSITIONS_SEQUENCE})"
"""The position before the first one that this store can give: 0, unless it is one of several shards.

Events with a position up to it, or behind `LAST_DRAWN`, are *foreign*: another shard has recorded them, and
their slice was moved here. They are no part of the order of this log (docs/decisions/0065).
"""

END: Final[LiteralString] = (
    f"(SELECT ((last_value >> {SHARD_BITS}) + 1 << {SHARD_BITS}) - 1 FROM {POSITIONS_SEQUENCE})"
)
"""The last position that this store can ever give."""

SELECT_LAST_HOT: Final[LiteralString] = f"""
    SELECT max(notification_id) FROM offerlog_events
    WHERE notification_id > {BEGIN} AND notification_id <= {LAST_DRAWN}
"""
"""The last position of the log in the table, up to `LAST_DRAWN`; null without any."""

SELECT_LAST_POSITION: Final[LiteralString] = f"""
    SELECT greatest(({SELECT_LAST_HOT}), (
        SELECT max(last_position) FROM archived_files
        WHERE last_position > {BEGIN} AND last_position <= {END}
    ))
"""
"""The last position of the log, up to `LAST_DRAWN`; null if it is empty.

A slice may come back with the last event in a file of another server's archive.
"""

UP_TO: Final[LiteralString] = f"""
    (notification_id <= %s OR notification_id >> {SHARD_BITS}
        <> (SELECT last_value >> {SHARD_BITS} FROM {POSITIONS_SEQUENCE}))
"""
"""A condition on the events of whole streams: they stand up to a position, which is the parameter, or are
foreign. What a slice brought along was there before its owner has recorded anything more of it."""


WITHIN: Final[LiteralString] = f"notification_id <= (%s::bigint[])[(notification_id >> {SHARD_BITS}) + 1]"
"""A condition on events: each stands up to the end of the log that has recorded it.

The parameter is `ends_of` a position. Of a multirange, the planner would believe that it has few events."""


def ends_of(position: LogPosition) -> list[int]:
    """Return the last position of each log, by the number of its server, for a position as callers keep it.

    An event keeps its position when its slice moves, so this cuts each log where it was, wherever its events
    lie by now. Of a log that is not named, there is nothing.
    """
    ends = by_shard(position)
    return [ends.get(number, number << SHARD_BITS) for number in range(max(ends) + 1)]


def count_positions(behind: int, last: int) -> int:
    """Return the number of positions behind one, up to the last one that a log has given.

    Args:
        behind: A position of that log, or 0 for its beginning.
        last: The last position; 0 in an empty log.
    """
    return last - max(behind, begin_of_shard(last))


class SafeHorizon:
    """The safe horizon of one events table, advanced by each call of `advance`; not thread-safe.

    It is valid only for connections that were open at `as_of`. A crash of the server ends every connection
    and may lose the last values of the sequence. Positions that were drawn and given up are then drawn again,
    so events may appear below a horizon that was found before the crash.

    Attributes:
        table: The events table, quoted, with its schema.
        position: The last position known to be safe; None until one has been found.
        as_of: When that position was read, by the monotonic clock. All events committed before then lie at or
            below it. While a writer hangs, position and time stay as they are.
    """

    def __init__(self, schema: str, table: str) -> None:
        self.position: int | None = None
        self.as_of: float | None = None
        self.table = f'"{schema}"."{table}"'
        self._sequence = f'"{schema}"."{POSITIONS_SEQUENCE}"'
        self._pending: tuple[float, int, frozenset[str]] | None = None

    def seconds_stuck(self) -> float:
        """Seconds for which writers have kept the horizon where it is; 0 if none does."""
        return time.monotonic() - self._pending[0] if self._pending is not None else 0.0

    def advance(self, cursor: Cursor[Any]) -> int | None:
        """Read the sequence and the locks once, without waiting, and return the safe position.

        Pages up to it must be read with a snapshot that is taken afterwards. The cursor's transaction must
        not hold the lock itself.
        """
        started = time.monotonic()
        drawn = self._select_last_drawn(cursor)  # must come before the locks are listed
        writers = self._select_writers(cursor)
        if not writers:
            self._pending, self.position, self.as_of = None, drawn, started
            return drawn
        if self._pending is not None:
            pending_since, bound, awaited_writers = self._pending
            awaited_writers &= writers
            if awaited_writers:
                self._pending = pending_since, bound, awaited_writers
                return self.position
            self.position, self.as_of = bound, pending_since
        self._pending = started, drawn, writers
        return self.position

    def _select_last_drawn(self, cursor: Cursor[Any]) -> int:
        cursor.execute(_SELECT_LAST_DRAWN, (self._sequence,), prepare=True)
        row = cursor.fetchone()
        return int((row["drawn"] if row else 0) or 0)

    def _select_writers(self, cursor: Cursor[Any]) -> frozenset[str]:
        cursor.execute(_SELECT_WRITERS, (self.table,), prepare=True)
        return frozenset(row["virtualtransaction"] for row in cursor.fetchall())


_SELECT_LAST_DRAWN: LiteralString = "SELECT pg_sequence_last_value(%s::regclass) AS drawn"
_SELECT_WRITERS: LiteralString = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation = %s::regclass
"""
