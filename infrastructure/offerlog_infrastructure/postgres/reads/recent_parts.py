"""Signals and visitors of one of several stores, for the list of recent visitors of all."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.positions import SHARD_BITS, shard_of_position
from offerlog_application.ports.recent_parts import PlacedActivity
from offerlog_domain.event_fields import SignalEvent
from offerlog_domain.identity import VisitorKey
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived_before
from offerlog_infrastructure.postgres.archive.archived_rows import select_visitors
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS, PositionedRow
from offerlog_infrastructure.postgres.reads.read_transaction import (
    ONE_SNAPSHOT,
    limit_statements,
    read_transaction,
)
from offerlog_infrastructure.postgres.reads.recent_visitors import (
    SELECT_OF_MEDIA_TYPE,
    SELECT_VISITORS,
    bounds_of,
)

_SELECT_NEWEST: Final[LiteralString] = f"""
    SELECT {EVENT_COLUMNS} FROM offerlog_events
    WHERE notification_id > %s AND notification_id <= %s AND topic = ANY(%s)
    ORDER BY notification_id DESC LIMIT %s
"""
# By the primary key: a visitor's events are few, and the positions may be millions.
_SELECT_SHOWN: Final[LiteralString] = """
    SELECT wanted.token FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS wanted (token, low, high)
    CROSS JOIN LATERAL (
        SELECT FROM offerlog_events
        WHERE originator_id BETWEEN wanted.low AND wanted.high AND topic = ANY(%s) AND EXISTS (
            SELECT FROM unnest(%s::bigint[], %s::bigint[]) AS shown (after, until)
            WHERE notification_id + 0 > shown.after AND notification_id + 0 <= shown.until
        )
        ORDER BY originator_id, originator_version LIMIT 1
    ) AS newer
"""


class PostgresRecentParts:
    """The application's `RecentParts`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys
        self._topics = self._mapper.topics(SignalEvent)

    @again_if_replaced
    def newest_events(self, up_to: Mapping[int, int], most: int) -> Mapping[int, Sequence[PlacedActivity]]:
        """Return the newest signals of each lane, up to a position in it, the newest first."""
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(ONE_SNAPSHOT)
            return {lane: self._select(cursor, lane, last, most) for lane, last in up_to.items()}

    def _select(self, cursor: Cursor[Any], lane: int, last: int, most: int) -> Sequence[PlacedActivity]:
        begin = lane << SHARD_BITS
        if last <= begin:
            return []
        limit_statements(cursor)
        rows: list[PositionedRow] = cursor.execute(
            _SELECT_NEWEST, (begin, last, self._topics, most)
        ).fetchall()
        archived = add_archived_before(
            cursor.connection,
            self._files,
            [row[0] for row in rows],
            last,
            limit=most,
            topics=self._topics,
            after=begin,
        )
        if archived:
            rows = sorted([*rows, *archived], reverse=True)[:most]
        return [self._read(row) for row in rows]

    def _read(self, row: PositionedRow) -> PlacedActivity:
        position, stream, version, topic, state = row
        try:
            event = self._mapper.event(stream, version, topic, state).event
        except UnreadableEventError:
            return PlacedActivity(position, token_of(stream), None)
        assert isinstance(event, SignalEvent)  # noqa: S101 - its topic was asked for
        return PlacedActivity(position, token_of(stream), event)

    @again_if_replaced
    def open_visitors(
        self,
        organization: str,
        tokens: Sequence[int],
        shown: Mapping[int, tuple[int, int]],
        media_type: str | None,
    ) -> Mapping[int, VisitorKey]:
        """Return those of some visitors who are of the organization and held here, by token."""
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(ONE_SNAPSHOT)
            limit_statements(cursor)
            found = cursor.execute(SELECT_VISITORS, (organization, list(tokens))).fetchall()
            visitors = {row[0]: row for row in found}
            if media_type is not None and visitors:
                of_type = cursor.execute(SELECT_OF_MEDIA_TYPE, (*bounds_of(visitors), media_type)).fetchall()
                visitors = {token: visitors[token] for (token,) in of_type}
            spans = [span for span in shown.values() if span[0] < span[1]]
            if spans and visitors:
                between = [after for after, _ in spans], [until for _, until in spans]
                asked = (*bounds_of(visitors), self._topics, *between)
                for (token,) in cursor.execute(_SELECT_SHOWN, asked).fetchall():
                    del visitors[token]
                for row in select_visitors(cursor.connection, self._files, list(visitors), 0):
                    after, until = shown.get(shard_of_position(row[0]), (0, 0))
                    if after < row[0] <= until and row[3] in self._topics:
                        visitors.pop(token_of(row[1]), None)
        return {token: self._keys.open_names(*row) for token, row in visitors.items()}
