"""All streams of one visitor, read page by page in the order of the log."""

from collections.abc import Generator, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.read_models import PlacedEvent
from offerlog_application.reading.read_budget import check_read
from offerlog_domain.events import EventSinceOffer, Offered
from offerlog_domain.stream_ids import make_stream_id, make_visitor_stream_id, stream_bounds
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_rows import ARCHIVED, select_streams, to_parameters
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.moved_order import RecordedPlace, is_moved, put_in_order
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT, read_transaction
from offerlog_infrastructure.sealing import VisitorSealer

_PAGE: Final = 1_000
"""Events per page. The server sorts all events of the visitor for each page."""

_STEP: Final = 250
"""After so many events the read checks whether its time is over or its caller has gone."""

_SELECT_VISITOR: LiteralString = """
    SELECT token, kek, wrapped_key, EXISTS (SELECT FROM shard) FROM visitors WHERE digest = %s
"""
_SELECT_POSITIONS: LiteralString = f"""
    SELECT min(notification_id), max(notification_id) FROM (
        SELECT notification_id FROM offerlog_events
        WHERE originator_id BETWEEN %(first)s AND %(last)s AND originator_id <> %(own)s
        UNION ALL SELECT notification_id FROM {ARCHIVED}
    ) AS of_visitor
"""
_ALL: Final = (1 << 63) - 1
_ON_PAGE: LiteralString = (
    "originator_id <> %(own)s AND notification_id > %(behind)s ORDER BY notification_id LIMIT %(limit)s"
)
_BEFORE_OFFER: LiteralString = """
    e.topic = ANY(%(offered)s) AND originator_id = e.originator_id
    AND originator_version < e.originator_version AND topic = ANY(%(lifecycle)s)
    ORDER BY originator_version DESC LIMIT 1
"""
_SELECT_EVENTS: LiteralString = f"""
    WITH archived AS MATERIALIZED (SELECT * FROM {ARCHIVED})
    SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state,
        before.originator_version, before.topic, before.state
    FROM (
        (
            SELECT {EVENT_COLUMNS} FROM offerlog_events
            WHERE originator_id BETWEEN %(first)s AND %(last)s AND {_ON_PAGE}
        )
        UNION ALL (SELECT {EVENT_COLUMNS} FROM archived WHERE {_ON_PAGE})
        ORDER BY notification_id LIMIT %(limit)s
    ) AS e LEFT JOIN LATERAL (
        (SELECT originator_version, topic, state FROM offerlog_events WHERE {_BEFORE_OFFER})
        UNION ALL (SELECT originator_version, topic, state FROM archived WHERE {_BEFORE_OFFER})
        ORDER BY originator_version DESC LIMIT 1
    ) AS before ON true
    ORDER BY e.notification_id
"""
"""A visitor's streams lie beside each other, so their rows are one range of the primary key. The last
lifecycle event before an offer is read with it: each part has its own LIMIT, or the whole stream would be
sorted for each offer."""


class PostgresVisitorReader:
    """Reads the streams of a visitor; thread-safe.

    A method has the errors of the method of `VisitorReader`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys

    def events_of_visitor(
        self, visitor_digest: UUID, action_map_id: UUID | None = None, behind: int = 0
    ) -> Generator[PlacedEvent]:
        """Stream the events of a visitor behind a position, by position; of one action map if it is given.

        If several shards have recorded them, they come in the order in which that was, and those behind the
        event at the position; the call reads all of them at once then.

        Raises:
            ReadCancelledError: Nobody waits for it any more.
            UnreadableEventError: A stored event is unknown to this build.
            ArchiveUnavailableError: A file with archived events cannot be read.
        """
        while True:
            rows, sealer = self._select_page(visitor_digest, action_map_id, behind)
            for n, row in enumerate(rows, 1):
                if n % _STEP == 0:
                    check_read()
                assert sealer is not None  # noqa: S101 - without a visitor there are no rows
                yield self._open(row, sealer)
            if len(rows) != _PAGE:
                return
            behind = rows[-1][0]

    @again_if_replaced
    def _select_page(
        self, visitor_digest: UUID, action_map_id: UUID | None, behind: int
    ) -> tuple[Sequence[tuple[Any, ...]], VisitorSealer | None]:
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(ONE_SNAPSHOT)  # an erasure between the two statements would blank the events
            visitor = cursor.execute(_SELECT_VISITOR, (visitor_digest,)).fetchone()
            if visitor is None:
                return (), None
            token, kek, wrapped_key, is_shard = visitor
            first, last = stream_bounds(token)
            if action_map_id is not None:
                first = last = make_stream_id(token, action_map_id)
            where = {
                "first": first,
                "last": last,
                "own": make_visitor_stream_id(token),
                "behind": behind,
                "limit": _PAGE,
                "offered": self._mapper.topics(Offered),
                "lifecycle": self._mapper.topics(EventSinceOffer),
                **to_parameters(select_streams(cursor.connection, self._files, first, last)),
            }
            sealer = self._keys.sealer(kek, wrapped_key)
            ends = cursor.execute(_SELECT_POSITIONS, where).fetchone() if is_shard else None
            if ends is not None and is_moved([one for one in ends if one is not None]):
                rows = cursor.execute(_SELECT_EVENTS, where | {"behind": 0, "limit": _ALL}).fetchall()
                return self._order_behind(rows, behind), sealer
            return cursor.execute(_SELECT_EVENTS, where).fetchall(), sealer

    def _order_behind(self, rows: Sequence[tuple[Any, ...]], behind: int) -> Sequence[tuple[Any, ...]]:
        """Put the events of a visitor in the order in which they were recorded; return those behind one."""
        read = self._mapper.event
        places = [RecordedPlace(row[0], row[1], row[2], read(*row[1:5]).event.recorded_at) for row in rows]
        ordered = [rows[index] for index in put_in_order(places)]
        positions = [row[0] for row in ordered]
        return ordered[positions.index(behind) + 1 :] if behind in positions else ordered

    def _open(self, row: Sequence[Any], sealer: VisitorSealer) -> PlacedEvent:
        position, stream_id, version, topic, state, *before = row
        stream, open_event = OpenStream(stream_id, sealer), self._mapper.open_event
        return PlacedEvent(
            position,
            open_event(stream_id, stream, version, topic, state),
            None if before[0] is None else open_event(stream_id, stream, *before),
        )
