"""The application's `StreamSource` on PostgreSQL: the primary key of the log, page by page."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import msgspec
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.event_source import LogRow
from offerlog_application.ports.positions import LogPosition, is_up_to
from offerlog_application.ports.stream_source import StreamPlace
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived_streams
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private
from offerlog_infrastructure.postgres.log.horizon import WITHIN, ends_of
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT, read_transaction
from offerlog_infrastructure.sealing import UnsealError

_SELECT_EVENTS: LiteralString = f"""
    SELECT notification_id, originator_id, originator_version, topic, state FROM offerlog_events
    WHERE originator_id >= %(stream)s AND (originator_id, originator_version) > (%(stream)s, %(version)s)
        AND {WITHIN.replace("%s", "%(as_of)s")} AND topic <> ALL(%(others)s)
    ORDER BY originator_id, originator_version LIMIT %(limit)s
"""
_SELECT_VISITORS: LiteralString = """
    SELECT token, kek, wrapped_key, names FROM visitors
    WHERE organization = %s AND token = ANY(%s::bigint[])
"""


class PostgresStreamSource:
    """Reads the log stream by stream; thread-safe.

    A method has the errors of the method of `StreamSource`, and those that it names.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys
        self._known = frozenset(self._mapper.topics(Event))
        self._others = list(self._known - set(self._mapper.topics(LifecycleEvent)))

    @again_if_replaced
    def read_streams(
        self, behind: StreamPlace, as_of: LogPosition, limit: int, *, identify: str | None = None
    ) -> Sequence[LogRow]:
        """Return the next lifecycle events, ordered by stream and version; see `StreamSource`.

        Raises:
            ReadCancelledError: The current `ReadBudget` was cancelled.
        """
        where = {**behind._asdict(), "as_of": ends_of(as_of), "others": self._others, "limit": limit}
        with (
            read_transaction(self._datastore) as transaction,
            transaction.connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(ONE_SNAPSHOT)  # an erasure between the two statements would blank the events
            rows = add_archived_streams(
                cursor.connection,
                self._files,
                cursor.execute(_SELECT_EVENTS, where).fetchall(),
                (behind.stream, behind.version),
                limit=limit,
                is_wanted=lambda row: is_up_to(row[0], as_of) and row[3] not in self._others,
            )
            visitors: dict[int, tuple[Any, ...]] = {}
            if identify is not None:
                tokens = list({token_of(row[1]) for row in rows})
                found = cursor.execute(_SELECT_VISITORS, (identify, tokens)).fetchall()
                visitors = {row[0]: row for row in found}
        return [self._read(row, visitors) for row in rows]

    def _read(self, stored: Sequence[Any], visitors: Mapping[int, Sequence[Any]]) -> LogRow:
        """Decode an event, and open what identifies somebody if the visitor's row was read."""
        position, stream, version, topic, state = stored
        try:
            sealed = self._mapper.event(stream, version, topic, state)
        except UnreadableEventError:
            if topic not in self._known:
                raise
            return LogRow(position, stream, version, None, None)
        row = LogRow(position, stream, version, sealed.event.organization, sealed.event)
        visitor = visitors.get(token_of(stream))
        return row if visitor is None else self._identify(row, sealed, visitor)

    def _identify(self, row: LogRow, sealed: SealedEvent[Event], visitor: Sequence[Any]) -> LogRow:
        token, kek, wrapped_key, names = visitor
        opened = OpenStream(row.stream, self._keys.sealer(kek, wrapped_key))
        name = type(sealed.event).stored_name.encode()
        try:
            private = decode_private(opened.open(sealed.sealed, row.version, name))
            return row._replace(
                visitor=self._keys.open_names(token, kek, wrapped_key, names), private=private
            )
        except (UnsealError, msgspec.MsgspecError):
            return row  # damaged: `offerlog audit verify` names it
