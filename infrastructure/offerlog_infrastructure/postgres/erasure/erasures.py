"""The steps of an erasure in the store, and legal holds. The use case puts them in order.

See docs/decisions/0036.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.erasure import (
    BegunErasure,
    BlankedEvents,
    ErasureUnfinishedError,
    HeldRow,
    LegalHold,
    LegalHoldError,
)
from offerlog_application.ports.event_log import SliceElsewhereError
from offerlog_domain.identity import VisitorKey
from offerlog_domain.stream_ids import slice_of, stream_bounds
from offerlog_infrastructure.postgres.archive.blanked_files import blank_archived
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.erasure.blanking import COMMIT_LATER, blank_events
from offerlog_infrastructure.postgres.erasure.held_rows import select_held_rows
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import raise_epoch
from offerlog_infrastructure.sealing import SEAL_BYTES

_SET_LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '5s'"
"""Another erasure, or a legal hold, may hold a row for a moment."""

ERASED: Final = "the visitor was erased"
"""Stands in place of the error of a dead letter."""

_LOCK_SPACE: Final = 0x6F66_6572 << 32
"""An erasure's number is added to it: the advisory lock of those who complete the erasure."""

_LOCK_SECONDS: Final = 20.0
_LOCK_PAUSE_SECONDS: Final = 0.05
"""Seconds for which a call waits for another one that completes the same erasure, and between two looks."""

_LEAVE_SECONDS: Final = 20.0
"""Seconds for which a call waits until the rest of a move to here is done on the other server."""

_IMPATIENT_SECONDS: Final = 60.0
"""Seconds for which nobody waits for that again, if it did not come: many visitors of one slice may be erased
in one call, and the other server may be down for hours."""

_SELECT_ARRIVED: LiteralString = "SELECT FROM arrived_slices WHERE slice = %s"
_SELECT_SLICE: LiteralString = "SELECT is_owned FROM slices WHERE slice = %s FOR SHARE"
"""Whoever gives the slice away waits for the end of the transaction, or is seen."""

_SELECT_VISITOR: LiteralString = "SELECT token FROM visitors WHERE digest = %s FOR UPDATE"
"""A hold locks the same row, so of the two one sees the other."""

_SELECT_HOLD: LiteralString = "SELECT reason, held_since FROM legal_holds WHERE digest = %s"
_DELETE_VISITOR: LiteralString = "DELETE FROM visitors WHERE token = %s"
"""By the token, and so the row that was selected: by the digest, it could be one that was inserted since."""

_DELETE_REFUSED_TEXTS: LiteralString = f"""
    UPDATE refusals SET visitor_digest = NULL, sealed_text = '',
        raw_length = coalesce(raw_length, greatest(octet_length(sealed_text) - {SEAL_BYTES}, 0))
    WHERE visitor_digest = %s
"""
"""Time, reason and action map stay, as the counts are made of them."""

_DELETE_LATE_TEXTS: LiteralString = f"""{_DELETE_REFUSED_TEXTS}
    AND recorded_at <= %s AND NOT EXISTS (SELECT FROM legal_holds WHERE digest = visitor_digest)
"""
"""A legal hold under this digest protects a new life of the visitor."""

_DELETE_COUNTED_BLOCKS: LiteralString = """
    DELETE FROM counted_blocks WHERE organization = %s AND visitor_digest = %s
"""
_DELETE_LATE_BLOCKS: LiteralString = f"""{_DELETE_COUNTED_BLOCKS}
    AND recorded_at <= %s AND NOT EXISTS (SELECT FROM legal_holds WHERE legal_holds.digest = visitor_digest)
"""
_INSERT_TOMBSTONE: LiteralString = """
    WITH tombstone AS (
        INSERT INTO erased_visitors (token, erased_at, refusals, organization) VALUES (%s, %s, %s, %s)
        RETURNING number
    )
    INSERT INTO erasing_visitors (number, digest) SELECT number, %s FROM tombstone RETURNING number
"""
_BEGUN: LiteralString = """
    SELECT number, organization, digest, token, erased_at, refusals
    FROM erasing_visitors JOIN erased_visitors USING (number)
"""
_SELECT_UNFINISHED_OF: LiteralString = f"{_BEGUN} WHERE digest = %s ORDER BY number"
_SELECT_UNFINISHED: LiteralString = f"{_BEGUN} WHERE erased_at < %s ORDER BY number"
_TRY_LOCK: LiteralString = "SELECT pg_try_advisory_lock(%s)"
_UNLOCK: LiteralString = "SELECT pg_advisory_unlock(%s)"
_SELECT_OPEN: LiteralString = "SELECT FROM erasing_visitors WHERE number = %s"
_ADD_REFUSALS: LiteralString = (
    "UPDATE erased_visitors SET refusals = refusals + %s WHERE number = %s RETURNING refusals"
)
_COMPLETE: LiteralString = """
    WITH completed AS (DELETE FROM erasing_visitors WHERE number = %s RETURNING number)
    UPDATE erased_visitors SET completed_at = %s, position = %s WHERE number IN (SELECT number FROM completed)
"""
_UPDATE_DEAD_LETTERS: LiteralString = """
    UPDATE dead_letters SET error = %s WHERE originator_id BETWEEN %s AND %s
"""
_DELETE_SHORT_SIGNALS: LiteralString = """
    DELETE FROM parked_short_signals
    WHERE action_digest IN (SELECT action_digest FROM named_actions WHERE visitor = %s)
"""
_DELETE_NAMED_ACTIONS: LiteralString = "DELETE FROM named_actions WHERE visitor = %s"
_TABLES: LiteralString = """
    visitors, refusals, offerlog_events, suppressions, parked_signals, current_offers, current_actions,
    dead_letters, erased_visitors, legal_holds, counted_blocks, named_actions, parked_short_signals
"""
_VACUUM: LiteralString = f"VACUUM {_TABLES}"
_VACUUM_FULL: LiteralString = f"VACUUM (FULL, ANALYZE) {_TABLES}"

_REWRITE_ERASING: LiteralString = "VACUUM FULL erasing_visitors"

_SELECT_KNOWN: LiteralString = "SELECT FROM visitors WHERE digest = %s FOR SHARE"
_INSERT_HOLD: LiteralString = """
    INSERT INTO legal_holds (digest, held_since, organization, reason) VALUES (%s, %s, %s, %s)
    ON CONFLICT (digest) DO UPDATE SET reason = excluded.reason
"""
_DELETE_HOLD: LiteralString = "DELETE FROM legal_holds WHERE digest = %s"
_SELECT_HOLDS: LiteralString = """
    SELECT v.token, v.kek, v.wrapped_key, v.names, h.held_since, h.reason
    FROM legal_holds h JOIN visitors v USING (digest) WHERE h.organization = %s ORDER BY h.held_since, v.token
"""


class PostgresErasures:
    """The application's `Erasures`; thread-safe.

    A method has the errors of the method of `Erasures`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._datastore = application.log.datastore
        self._completing = threading.Lock()
        self._awaited_in_vain: dict[int, float] = {}
        """Slices whose former server has not deleted its copy: the time from which to wait for it again."""

    def begin(self, organization: str, digest: UUID, now: datetime) -> Sequence[BegunErasure]:
        """Destroy a visitor's key and names, delete refused texts and names of blocks, raise the epoch."""
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.transaction(),
            connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(_SET_LOCK_TIMEOUT)
            _check_slice(cursor, digest)
            visitor = cursor.execute(_SELECT_VISITOR, (digest,)).fetchone()
            hold = cursor.execute(_SELECT_HOLD, (digest,)).fetchone()
            if hold is not None:
                raise LegalHoldError(*hold)
            own = None
            refusals = cursor.execute(_DELETE_REFUSED_TEXTS, (digest,)).rowcount
            blocks = cursor.execute(_DELETE_COUNTED_BLOCKS, (organization, digest)).rowcount
            unfinished = _select_unfinished(cursor, _SELECT_UNFINISHED_OF, digest)
            if visitor is not None or ((refusals or blocks) and not unfinished):
                token = None if visitor is None else visitor[0]
                cursor.execute(_DELETE_VISITOR, (token,))
                own = cursor.execute(
                    _INSERT_TOMBSTONE, (token, now, refusals, organization, digest)
                ).fetchone()
                raise_epoch(connection)
            elif refusals:
                cursor.execute(_ADD_REFUSALS, (refusals, unfinished[-1].number))
            unfinished = _select_unfinished(cursor, _SELECT_UNFINISHED_OF, digest)
        self._application.visitor_keys.forget()
        return [replace(one, is_own=(one.number,) == own) for one in unfinished]

    def unfinished(self, before: datetime) -> Sequence[BegunErasure]:
        """Return the erasures of all organizations that were begun before a time and are not complete."""
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            return _select_unfinished(connection.cursor(row_factory=tuple_row), _SELECT_UNFINISHED, before)

    def delete_late_rows(self, erasure: BegunErasure, until: datetime) -> int:
        """Delete the refused texts that writers have added before the fence; returns how many in all.

        Only those that were recorded until a time, and none that a legal hold of a new life protects. Names
        of blocked offers go likewise.

        Raises:
            ErasureUnfinishedError: The server that had the slice of the visitor before may still have a copy.
        """
        self._await_former_server(erasure.digest)
        with self._transaction() as cursor:
            cursor.execute(_DELETE_LATE_BLOCKS, (erasure.organization, erasure.digest, until))
            late = cursor.execute(_DELETE_LATE_TEXTS, (erasure.digest, until)).rowcount
            row = cursor.execute(_ADD_REFUSALS, (late, erasure.number)).fetchone() if late else None
        return erasure.refusals if row is None else int(row[0])

    def _await_former_server(self, digest: UUID) -> None:
        """Wait until the slice of a visitor, if it was moved here, is nowhere else any more."""
        number, now = slice_of(digest), time.monotonic()
        ends = now if now < self._awaited_in_vain.get(number, 0.0) else now + _LEAVE_SECONDS
        while True:
            with store_reached(self._datastore), self._datastore.get_connection() as connection:
                row = connection.execute(_SELECT_ARRIVED, (number,)).fetchone()
            if row is None:
                return
            if time.monotonic() >= ends:
                self._awaited_in_vain[number] = time.monotonic() + _IMPATIENT_SECONDS
                raise ErasureUnfinishedError(
                    "the server that had the visitor's slice before has not deleted its copy yet: see"
                    " `offerlog shards status`"
                )
            time.sleep(_LOCK_PAUSE_SECONDS)

    @contextmanager
    def completing(self, erasure: BegunErasure) -> Iterator[bool]:
        """Keep other calls, in any process, from completing the same erasure meanwhile.

        Yields:
            False if the erasure is complete already.

        Raises:
            ErasureUnfinishedError: Another call takes long to complete it.
        """
        # One call at a time in this process: so the locks of all threads take one connection of the pool.
        with (
            self._completing,
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            key = _LOCK_SPACE + erasure.number
            ends = time.monotonic() + _LOCK_SECONDS
            while cursor.execute(_TRY_LOCK, (key,)).fetchone() != (True,):
                if time.monotonic() > ends:
                    raise ErasureUnfinishedError("another process is completing it")
                time.sleep(_LOCK_PAUSE_SECONDS)
            try:
                yield cursor.execute(_SELECT_OPEN, (erasure.number,)).fetchone() is not None
            finally:
                cursor.execute(_UNLOCK, (key,))

    def blank_events(self, token: int) -> BlankedEvents:
        """Replace the sealed parts of a visitor's events by their hashes; damaged events stay as they are.

        No writer of the visitor is left, so the look-up of the visitor's actions goes here, too, with the
        short signals that wait for them.
        """
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            with connection.transaction():
                connection.execute(COMMIT_LATER)
                connection.execute(_UPDATE_DEAD_LETTERS, (ERASED, *stream_bounds(token)))
                connection.execute(_DELETE_SHORT_SIGNALS, (token,))
                connection.execute(_DELETE_NAMED_ACTIONS, (token,))
            blanked = blank_events(connection, token)
            archived = blank_archived(connection, self._application.archived_files, token)
            return BlankedEvents(blanked.events + archived.events, blanked.unreadable + archived.unreadable)

    def complete(self, erasure: BegunErasure, position: int | None, now: datetime) -> None:
        """Forget the visitor's digest: the erasure is complete."""
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.transaction(),
        ):
            connection.execute(COMMIT_LATER)
            connection.execute(_COMPLETE, (erasure.number, now, position))

    def remove_remains(self, *, rewrite: bool) -> None:
        """Vacuum the tables that hold something of visitors, or write them into new files."""
        with store_reached(self._datastore), self._application.connect() as connection:
            lift_answer_limit(connection)
            connection.execute("SET lock_timeout = 0")
            connection.execute("SET statement_timeout = 0")
            connection.execute(_VACUUM_FULL if rewrite else _VACUUM)
            connection.execute(_REWRITE_ERASING)

    def hold(self, organization: str, digest: UUID, reason: str, now: datetime) -> bool:
        """Forbid to erase a visitor, or change the reason; returns False if the visitor is not known."""
        with self._transaction() as cursor:
            _check_slice(cursor, digest)
            if cursor.execute(_SELECT_KNOWN, (digest,)).fetchone() is None:
                return False
            cursor.execute(_INSERT_HOLD, (digest, now, organization, reason))
        return True

    def lift(self, digest: UUID) -> bool:
        """Allow to erase a visitor again; returns False if there was no hold."""
        return self._execute(_DELETE_HOLD, digest) > 0

    def holds(self, organization: str) -> Sequence[LegalHold]:
        """Return the holds of an organization, oldest first."""
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            rows = cursor.execute(_SELECT_HOLDS, (organization,)).fetchall()
        open_names = self._application.visitor_keys.open_names
        return [LegalHold(open_names(*names), since, reason) for *names, since, reason in rows]

    def held_rows(self, organization: str, digest: UUID, visitor: VisitorKey) -> Sequence[HeldRow]:
        """Return all that is held of a visitor, opened; empty if nothing is held.

        What cannot be opened is there too, with the reason in the field `unreadable`.
        """
        with self._transaction() as cursor:
            _check_slice(cursor, digest)
        return select_held_rows(self._application, organization, digest, visitor)

    @contextmanager
    def _transaction(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        """Run a transaction that waits for locks for a short time alone."""
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            cursor.execute(_SET_LOCK_TIMEOUT)
            yield cursor

    def _execute(self, statement: LiteralString, *values: Any) -> int:
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            return connection.execute(statement, values).rowcount


def _check_slice(cursor: Cursor[tuple[Any, ...]], digest: UUID) -> None:
    """Check that the store owns the slice of a visitor, up to the end of the transaction.

    Raises:
        SliceElsewhereError: It does not.
    """
    number = slice_of(digest)
    if cursor.execute(_SELECT_SLICE, (number,)).fetchone() != (True,):
        raise SliceElsewhereError([number])


def _select_unfinished(cursor: Cursor[Any], statement: LiteralString, *values: Any) -> list[BegunErasure]:
    return [BegunErasure(*row) for row in cursor.execute(statement, values).fetchall()]
