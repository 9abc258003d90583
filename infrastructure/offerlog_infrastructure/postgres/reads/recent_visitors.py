"""The visitors with the newest activity, found from the end of the log.

The log is read backward, by position. A visitor's first event that is met is the newest one, unless an
earlier page showed the visitor. Such a visitor has an event between this page and the beginning of the list,
which is looked for in the primary key.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.positions import only_position
from offerlog_application.ports.recent_visitors import (
    RecentVisitor,
    RecentVisitorPage,
    VisitorsPlace,
    show_activity,
)
from offerlog_domain.event_fields import SignalEvent
from offerlog_domain.stream_ids import stream_bounds, token_of
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived_before
from offerlog_infrastructure.postgres.archive.archived_rows import get_place, select_visitors
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS, PositionedRow
from offerlog_infrastructure.postgres.reads.read_transaction import (
    ONE_SNAPSHOT,
    limit_statements,
    read_transaction,
)

_EVENTS_AT_ONCE: Final = (500, 2_000, 5_000, 12_500)
"""Number of events that each statement of a page reads. The first statement usually fills the page."""

_LAST: Final = (1 << 63) - 1

_SELECT_NEWEST: LiteralString = """
    SELECT notification_id, originator_id, originator_version FROM offerlog_events
    WHERE notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id DESC LIMIT %s
"""
SELECT_VISITORS: LiteralString = """
    SELECT token, kek, wrapped_key, names FROM visitors
    WHERE organization = %s AND token = ANY(%s::bigint[])
"""
SELECT_OF_MEDIA_TYPE: LiteralString = """
    SELECT wanted.token FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS wanted (token, low, high)
    WHERE EXISTS (
        SELECT FROM current_actions
        WHERE originator_id BETWEEN wanted.low AND wanted.high AND media_type = %s
    )
"""
# By the primary key: a visitor's events are few, and the positions may be millions.
_SELECT_NEWER: LiteralString = """
    SELECT wanted.token FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS wanted (token, low, high)
    CROSS JOIN LATERAL (
        SELECT FROM offerlog_events
        WHERE originator_id BETWEEN wanted.low AND wanted.high AND topic = ANY(%s)
          AND notification_id + 0 > %s AND notification_id + 0 <= %s
        ORDER BY originator_id, originator_version LIMIT 1
    ) AS newer
"""
_SELECT_EVENTS: LiteralString = f"""
    SELECT {EVENT_COLUMNS} FROM unnest(%s::uuid[], %s::integer[]) AS wanted (id, version)
    JOIN offerlog_events ON originator_id = wanted.id AND originator_version = wanted.version
    ORDER BY notification_id DESC
"""


_Place = tuple[int, UUID, int]
"""Position, stream and version of an event."""


class PostgresRecentVisitors:
    """The application's `RecentVisitors`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys
        self._topics = self._mapper.topics(SignalEvent)

    @again_if_replaced
    def recent(
        self, organization: str, behind: VisitorsPlace | None, limit: int, media_type: str | None = None
    ) -> RecentVisitorPage:
        """Return a page of the visitors of an organization, each with the newest event, newest first."""
        up_to, top = (_LAST, 0) if behind is None else map(only_position, behind)
        found: list[RecentVisitor] = []
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(ONE_SNAPSHOT)
            for most in _EVENTS_AT_ONCE:
                limit_statements(cursor)
                rows, archived = self._select_newest(cursor, up_to, most)
                if not rows:
                    return RecentVisitorPage(top, found, None)
                top = top or rows[0][0]
                found += self._open(
                    cursor,
                    rows,
                    archived,
                    shown=(up_to, top),
                    organization=organization,
                    media_type=media_type,
                )
                up_to = rows[-1][0] - 1
                if len(found) > limit:
                    shown = found[:limit]
                    return RecentVisitorPage(top, shown, VisitorsPlace(shown[-1].position - 1, top))
                if len(rows) < most:
                    return RecentVisitorPage(top, found, None)
        return RecentVisitorPage(top, found, VisitorsPlace(up_to, top))

    def _select_newest(
        self, cursor: Cursor[Any], up_to: int, most: int
    ) -> tuple[Sequence[_Place], Mapping[tuple[UUID, int], PositionedRow]]:
        """Select the next events, the newest first; and those of them that are archived, by their place."""
        rows: list[_Place] = cursor.execute(_SELECT_NEWEST, (up_to, self._topics, most)).fetchall()
        archived = add_archived_before(
            cursor.connection, self._files, [row[0] for row in rows], up_to, limit=most, topics=self._topics
        )
        if archived:
            rows = sorted([*rows, *(row[:3] for row in archived)], reverse=True)[:most]
        return rows, {get_place(row): row for row in archived}

    def _open(
        self,
        cursor: Cursor[Any],
        rows: Sequence[_Place],
        archived: Mapping[tuple[UUID, int], PositionedRow],
        *,
        shown: tuple[int, int],
        organization: str,
        media_type: str | None,
    ) -> list[RecentVisitor]:
        """Return the visitors of these events, each with the newest event, newest first.

        Visitors with an event behind the first position of `shown` and up to the second are left out: an
        earlier page has shown them. So are those who were never made an offer of the media type, if one is
        given.
        """
        after, top = shown
        newest: dict[int, tuple[UUID, int]] = {}
        for _, stream, version in rows:
            newest.setdefault(token_of(stream), (stream, version))
        visitors = {
            row[0]: row for row in cursor.execute(SELECT_VISITORS, (organization, list(newest))).fetchall()
        }
        if media_type is not None and visitors:
            of_type = cursor.execute(SELECT_OF_MEDIA_TYPE, (*bounds_of(visitors), media_type)).fetchall()
            visitors = {token: visitors[token] for (token,) in of_type}
        if after < top and visitors:
            asked = bounds_of(visitors)
            for (token,) in cursor.execute(_SELECT_NEWER, (*asked, self._topics, after, top)).fetchall():
                del visitors[token]
            for row in select_visitors(cursor.connection, self._files, list(visitors), after):
                if row[0] <= top and row[3] in self._topics:
                    visitors.pop(token_of(row[1]), None)
        wanted = [newest[token] for token in visitors]
        parameters = ([stream for stream, _ in wanted], [version for _, version in wanted])
        events: list[PositionedRow] = cursor.execute(_SELECT_EVENTS, parameters).fetchall()
        if archived:
            events = sorted([*events, *(archived[one] for one in wanted if one in archived)], reverse=True)
        return [one for row in events if (one := self._read(row, visitors[token_of(row[1])])) is not None]

    def _read(self, row: PositionedRow, visitor: tuple[int, int, bytes, bytes]) -> RecentVisitor | None:
        """Return a visitor with an event; None if the event is damaged."""
        position, stream, version, topic, state = row
        try:
            event = self._mapper.event(stream, version, topic, state).event
        except UnreadableEventError:
            return None
        assert isinstance(event, SignalEvent)  # noqa: S101 - its topic was asked for
        token, kek, wrapped_key, names = visitor
        identity = self._keys.open_names(token, kek, wrapped_key, names)
        return show_activity(identity, position, event)


def bounds_of(tokens: Collection[int]) -> tuple[list[int], list[UUID], list[UUID]]:
    """Return these tokens with the first and the last possible stream of each."""
    bounds = [stream_bounds(token) for token in tokens]
    return list(tokens), [low for low, _ in bounds], [high for _, high in bounds]
