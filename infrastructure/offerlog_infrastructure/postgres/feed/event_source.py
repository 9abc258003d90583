"""The application's `EventSource` on PostgreSQL: pages of the log up to its safe horizon."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import ClosedError, UnreadableEventError
from offerlog_application.ports.event_source import (
    SETTLING_SECONDS,
    LogPage,
    LogRow,
    PositionAheadError,
    Tenure,
)
from offerlog_application.ports.positions import LogPosition, begin_of_shard, only_position
from offerlog_application.reading.read_budget import ReadTimeoutError, check_read
from offerlog_domain.event_fields import Event, PrivateFields, SealedEvent
from offerlog_domain.identity import VisitorKey
from offerlog_domain.service_events import ServiceEvent
from offerlog_domain.stream_ids import slice_of, token_of
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import READERS_LOCK_TIMEOUT, OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private
from offerlog_infrastructure.postgres.log.horizon import SafeHorizon
from offerlog_infrastructure.postgres.log.pages import PositionedRow, select_page
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT, STATEMENT_SECONDS
from offerlog_infrastructure.sealing import UnsealError

T = TypeVar("T")

_SETTLE_PAUSE_SECONDS: Final = 0.005
"""Seconds between two looks whether the writers at the end of the log have ended."""

_FIRST_HORIZON_SECONDS: Final = 10.0
"""Seconds to wait for the first horizon of a connection. Before it is found, nothing can be read."""

_ANSWER_SECONDS: Final = 60.0
"""Seconds to wait for an answer before the connection counts as lost."""

_CLOSE_SECONDS: Final = 5.0
"""Seconds for which `close` waits for a page before it cuts the connection."""

_VisitorRow = tuple[int, int, bytes, bytes]
"""Token, key that encrypts the visitor's key, that key, and the sealed names."""

_SELECT_VISITORS: LiteralString = """
    SELECT token, kek, wrapped_key, names FROM visitors
    WHERE organization = %s AND token = ANY(%s::bigint[])
"""
_SELECT_OWNERS: LiteralString = "SELECT token, organization FROM visitors WHERE token = ANY(%s::bigint[])"
_SELECT_END: LiteralString = """
    SELECT greatest(
        (
            SELECT max(notification_id) FROM offerlog_events
            WHERE notification_id > %s AND notification_id <= %s
        ),
        (SELECT max(last_position) FROM moved_events), -- the last one may lie on another server by now
        (SELECT max(last_position) FROM archived_files WHERE last_position > %s AND last_position <= %s),
        0
    )
"""
_SELECT_TENURES: LiteralString = """
    SELECT e.position, t.epoch, t.earlier
    FROM unnest(%s::bigint[], %s::smallint[]) AS e (position, slice)
    CROSS JOIN LATERAL (
        SELECT s.epoch, s.earlier FROM slice_tenures s
        WHERE s.slice = e.slice AND s.behind < e.position ORDER BY s.behind DESC LIMIT 1
    ) AS t
"""
_SELECT_HAS_MOVED: LiteralString = "SELECT EXISTS (SELECT FROM moved_events WHERE last_position > %s)"
_SELECT_LAST_DRAWN: LiteralString = "SELECT coalesce(pg_sequence_last_value('log_positions'), 0)"


class PostgresEventSource:
    """The log, read page by page on one connection; thread-safe.

    A horizon is valid as long as its connection lives, so one connection serves all readers of a process, one
    after the other. Each holds it for one page.

    A method has the errors of the method of `EventSource`, and those that it names.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._mapper = application.event_mapper
        self._known_topics = frozenset(self._mapper.topics(Event))
        self._lock = threading.Lock()
        self._connection: StoreConnection | None = None
        self._horizon = self._make_horizon()
        self._is_closed = False

    def read_page(
        self,
        after: LogPosition,
        limit: int,
        *,
        identify: str | None = None,
        settling_seconds: float = SETTLING_SECONDS,
        leaving_out: Collection[int] = (),
    ) -> LogPage:
        """Read the events after a position, at most `limit`; see `EventSource`.

        Raises:
            ReadTimeoutError: The page takes longer than it may.
        """
        del leaving_out  # there is one server
        after = only_position(after)
        (rows, visitors), is_settled = self._ask(
            lambda connection: self._select(connection, after, limit, identify),
            lambda found: bool(found[0]),
            settling_seconds,
        )
        read = self._read_rows(rows, visitors, identify)
        position = read[-1].position if read else after
        return LogPage(read, position, is_settled and len(rows) < limit and len(read) == len(rows))

    def find_end(self) -> int:
        """Return the position of the last event that can be read now; 0 if there is none."""
        return self._ask(self._select_end, lambda _: False, SETTLING_SECONDS)[0]

    def find_moved(self, after: int) -> int | None:
        """Look for events behind a position that have moved to another server."""
        with self._borrow() as connection:
            with connection.cursor(row_factory=tuple_row) as cursor:
                if cursor.execute(_SELECT_HAS_MOVED, (after,), prepare=True).fetchone() == (False,):
                    return None
            with connection.cursor() as rows:
                return self._horizon.advance(rows) or 0

    def read_moved(self, after: int, until: int, limit: int, *, identify: str | None) -> Sequence[LogRow]:
        """Read the events with positions of another server that lie here by now."""
        with self._borrow() as connection:
            rows, visitors = self._select_moved(connection, after, until, limit, identify)
        return self._read_rows(rows, visitors, identify)

    def find_event(self, position: int) -> LogRow | None:
        """Return the event of a position that has been read before, whoever has recorded it."""
        with self._borrow() as connection:
            found = self._select_event(connection, position)
        rows = self._read_rows(found, {}, None)
        return rows[0] if rows else None

    def find_tenures(self, events: Sequence[tuple[int, UUID]]) -> Mapping[int, Tenure]:
        """Return the tenures of this server in which events were recorded, by position."""
        asked = [position for position, _ in events], [slice_of(stream) for _, stream in events]
        with self._borrow() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(_SELECT_TENURES, asked, prepare=True).fetchall()
        return {position: Tenure(epoch, tuple(earlier)) for position, epoch, earlier in rows}

    def close(self) -> None:
        """End the page that is being read, and close the connection."""
        self._is_closed = True
        while not self._lock.acquire(timeout=_CLOSE_SECONDS):
            if (used := self._connection) is not None:
                used.cut()
        with suppress(psycopg.Error):
            self._drop()
        self._lock.release()

    def _ask(
        self, ask: Callable[[StoreConnection], T], is_enough: Callable[[T], bool], settling_seconds: float
    ) -> tuple[T, bool]:
        """Ask until an answer is enough, or is settled: it shows all that was committed before the call.

        Without a horizon yet, an answer knows nothing of the log. Only a caller who does not wait gets it.

        Returns:
            The answer, and True if it is settled or the time for that is over.

        Raises:
            ReadTimeoutError: Writers who do not end kept the first horizon from being found.
        """
        began = time.monotonic()
        while True:
            check_read()
            with self._borrow() as connection:
                answer = ask(connection)
                as_of = self._horizon.as_of
            waited = time.monotonic() - began
            if as_of is None and settling_seconds > 0:
                if waited >= _FIRST_HORIZON_SECONDS:
                    raise ReadTimeoutError(_FIRST_HORIZON_SECONDS)
            elif waited >= settling_seconds or (as_of is not None and as_of >= began):
                return answer, True
            if is_enough(answer):
                return answer, False
            time.sleep(_SETTLE_PAUSE_SECONDS)

    @contextmanager
    def _borrow(self) -> Iterator[StoreConnection]:
        """Lend the connection to one reader; it is opened if there is none that lives."""
        with self._lock, store_reached(self._application.reading):
            if self._is_closed:
                raise ClosedError
            connection = self._connection
            if connection is None or not connection.is_alive():
                self._drop()
                connection = self._connection = self._open()
            try:
                yield connection
            except psycopg.errors.QueryCanceled as error:
                raise ReadTimeoutError(STATEMENT_SECONDS) from error
            except psycopg.OperationalError:
                self._drop()
                if self._is_closed:
                    raise ClosedError from None
                raise
            connection.used = time.monotonic()

    def _open(self) -> StoreConnection:
        connection = self._application.connect(answer_within=_ANSWER_SECONDS)
        connection.execute(f"SET lock_timeout = '{READERS_LOCK_TIMEOUT}'".encode())
        connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS:.0f}s'".encode())
        return connection

    def _drop(self) -> None:
        """Forget the connection, and the horizon with it."""
        connection, self._connection = self._connection, None
        self._horizon = self._make_horizon()
        if connection is not None:
            connection.close()

    def _make_horizon(self) -> SafeHorizon:
        log = self._application.log
        return SafeHorizon(log.datastore.schema, log.events_table_name)

    @again_if_replaced
    def _select(
        self, connection: StoreConnection, after: int, limit: int, identify: str | None
    ) -> tuple[Sequence[PositionedRow], Mapping[int, _VisitorRow]]:
        """Select a page up to the safe horizon, and the visitors of an organization by token."""
        with connection.cursor() as cursor:
            safe = self._horizon.advance(cursor)
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            if identify is not None:
                cursor.execute(ONE_SNAPSHOT)  # an erasure between two statements would blank the events
            if safe is None or safe <= after:
                _check_ahead(cursor, after)
                return (), {}
            rows = select_page(cursor, after, safe, limit)
            files = self._application.archived_files
            rows = list(add_archived(connection, files, rows, after, safe, limit=limit))
            return rows, _select_visitors(cursor, rows, identify)

    @again_if_replaced
    def _select_event(self, connection: StoreConnection, position: int) -> Sequence[PositionedRow]:
        """Select one event; it has been read before, so no horizon has to be known."""
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            rows, files = select_page(cursor, position - 1, position, 1), self._application.archived_files
            return add_archived(connection, files, rows, position - 1, position, limit=1)

    @again_if_replaced
    def _select_moved(
        self, connection: StoreConnection, after: int, until: int, limit: int, identify: str | None
    ) -> tuple[Sequence[PositionedRow], Mapping[int, _VisitorRow]]:
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            if identify is not None:
                cursor.execute(ONE_SNAPSHOT)
            rows = select_page(cursor, after, until, limit)
            files = self._application.archived_files
            rows = list(add_archived(connection, files, rows, after, until, limit=limit))
            return rows, _select_visitors(cursor, rows, identify)

    def _select_end(self, connection: StoreConnection) -> int:
        """Select the position of the last event up to the safe horizon."""
        with connection.cursor() as cursor:
            safe = self._horizon.advance(cursor)
        with connection.cursor(row_factory=tuple_row) as rows:
            safe = safe or 0
            asked = begin_of_shard(safe), safe
            row = rows.execute(_SELECT_END, (*asked, *asked), prepare=True).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return int(row[0])

    def _read_rows(
        self, rows: Sequence[PositionedRow], visitors: Mapping[int, _VisitorRow], identify: str | None
    ) -> Sequence[LogRow]:
        """Decode a page, up to the first event of an unknown kind.

        Raises:
            UnreadableEventError: That is the first one.
        """
        read: list[LogRow] = []
        damaged: set[int] = set()
        for position, stream, version, topic, state in rows:
            if topic not in self._known_topics and read:
                break
            try:
                sealed = self._mapper.event(stream, version, topic, state)
            except UnreadableEventError:
                if topic not in self._known_topics:
                    raise
                damaged.add(token_of(stream))
                read.append(LogRow(position, stream, version, None, None))
                continue
            event, visitor, private = sealed.event, None, None
            if event.organization == identify and not isinstance(event, ServiceEvent):
                visitor, private = self._identify(sealed, topic, visitors.get(token_of(stream)))
            read.append(LogRow(position, stream, version, event.organization, event, visitor, private))
        return self._name_owners(read, damaged) if damaged else read

    def _identify(
        self, sealed: SealedEvent[Event], topic: str, visitor: _VisitorRow | None
    ) -> tuple[VisitorKey | None, PrivateFields | None]:
        """Open what identifies somebody; what was erased or damaged stays None."""
        if visitor is None:
            return None, None
        keys, (token, kek, wrapped_key, names) = self._application.visitor_keys, visitor
        stream = OpenStream(sealed.originator_id, keys.sealer(kek, wrapped_key))
        name = topic.rpartition(".")[0].encode()
        try:
            identity = keys.open_names(token, kek, wrapped_key, names)
        except UnsealError:
            identity = None
        try:
            opened = stream.open(sealed.sealed, sealed.originator_version, name)
            return identity, decode_private(opened)
        except (UnsealError, msgspec.MsgspecError):
            return identity, None

    def _name_owners(self, read: Sequence[LogRow], damaged: set[int]) -> Sequence[LogRow]:
        """Say of which organization the damaged events are, as far as their visitors are known."""
        with self._borrow() as connection, connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            owners: dict[int, str] = dict(cursor.execute(_SELECT_OWNERS, (list(damaged),)).fetchall())
        return [
            row if row.event is not None else row._replace(organization=owners.get(token_of(row.stream)))
            for row in read
        ]


def _select_visitors(
    cursor: Cursor[Any], rows: Sequence[PositionedRow], identify: str | None
) -> Mapping[int, _VisitorRow]:
    """Select the visitors of some events by token, if they are to be identified."""
    if identify is None or not rows:
        return {}
    tokens = list({token_of(row[1]) for row in rows})
    found = cursor.execute(_SELECT_VISITORS, (identify, tokens), prepare=True).fetchall()
    return {row[0]: row for row in found}


def _check_ahead(cursor: Cursor[Any], after: int) -> None:
    """Raise `PositionAheadError` if no event has had that position yet."""
    row = cursor.execute(_SELECT_LAST_DRAWN, prepare=True).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    if after > row[0]:
        raise PositionAheadError(after, row[0])
