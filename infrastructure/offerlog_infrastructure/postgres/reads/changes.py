"""The action maps that the newest events are about, by organization."""

from collections.abc import Collection, Mapping
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.positions import LogPosition, begin_of_shard, only_position
from offerlog_domain.identity import ActionMapId
from offerlog_domain.service_events import BlockedTally, ServiceEvent
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_pages import add_archived
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction

_NO_STREAM: Final = UUID(int=0)

_MAX_EVENTS: Final = 5_000
"""With more new events than this, it is cheaper to assume that every map has changed."""

_SELECT_EVENTS: LiteralString = """
    SELECT topic, state FROM offerlog_events WHERE notification_id > %s AND notification_id <= %s LIMIT %s
"""
_SELECT_KNOWN_MAPS: LiteralString = """
    SELECT asked.action_map_id::text FROM unnest(%(maps)s::text[]::uuid[]) AS asked (action_map_id)
    WHERE EXISTS (
        SELECT FROM performance_days AS d
        WHERE d.organization = %(organization)s AND d.cohort = 'event'
          AND d.action_map_id = asked.action_map_id
    ) OR EXISTS (
        SELECT FROM blocked_counts AS b
        WHERE b.organization = %(organization)s AND b.action_map_id = asked.action_map_id
    )
"""


class PostgresChanges:
    """Changes by organization and action map; thread-safe.

    A method has the errors of the method of `Changes`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files
        self._mapper = application.event_mapper

    @again_if_replaced
    def changed_maps(
        self, behind: LogPosition, position: LogPosition
    ) -> Mapping[str, set[ActionMapId]] | None:
        """Return the maps of the events in (behind, position], by organization.

        None means that any map may have changed: there are too many events, or one cannot be read.
        """
        start, end = only_position(behind), only_position(position)
        with (
            read_transaction(self._datastore) as cursor,
            cursor.connection.cursor(row_factory=tuple_row) as rows,
        ):
            first = max(start, begin_of_shard(end))
            stored = rows.execute(_SELECT_EVENTS, (first, end, _MAX_EVENTS + 1)).fetchall()
            if len(stored) <= _MAX_EVENTS:
                limit = _MAX_EVENTS + 1 - len(stored)
                archived = add_archived(cursor.connection, self._files, (), start, end, limit=limit)
                stored += [row[3:] for row in archived]
        if len(stored) > _MAX_EVENTS:
            return None
        changed: dict[str, set[ActionMapId]] = {}
        try:
            for topic, state in stored:
                event = self._mapper.event(_NO_STREAM, 0, topic, state).event
                if isinstance(event, ServiceEvent) and not isinstance(event, BlockedTally):
                    continue  # it is about no action map
                changed.setdefault(event.organization, set()).add(ActionMapId(str(event.action_map_id)))
        except UnreadableEventError:
            return None
        return changed

    def known_maps(self, organization: str, action_maps: Collection[ActionMapId]) -> set[ActionMapId]:
        """Return those of these maps that the organization has events or blocked offers of."""
        parameters = {"organization": organization, "maps": list(action_maps)}
        with (
            read_transaction(self._datastore) as cursor,
            cursor.connection.cursor(row_factory=tuple_row) as rows,
        ):
            return {one for (one,) in rows.execute(_SELECT_KNOWN_MAPS, parameters)}
