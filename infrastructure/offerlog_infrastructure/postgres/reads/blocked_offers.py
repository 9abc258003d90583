"""The counts of blocked offers: all of them by number, and the remembered ones by visitor and session."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import DictRow

from offerlog_application.ports.offer_reads import BlockedCount, MapVersion
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.projections.slots import slot
from offerlog_domain.identity import ActionMapId
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.archive.archived_rows import select_each
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.visitors import OpenStream, VisitorKeys
from offerlog_infrastructure.postgres.reads.read_transaction import limit_statements

_OF_ANY_TYPE: LiteralString = """
    b.organization = %(organization)s AND b.slot >= %(first)s AND b.slot < %(end)s
      AND (%(maps)s::uuid[] IS NULL OR b.action_map_id = ANY (%(maps)s))
"""
_ASKED: LiteralString = f"""
    {_OF_ANY_TYPE} AND (%(media_type)s::text IS NULL OR b.media_type = %(media_type)s)
"""
_SELECT_COUNTS: LiteralString = f"""
    SELECT b.action_map_id::text, b.reason, sum(b.blocked)::bigint AS blocked
    FROM blocked_counts AS b WHERE {_ASKED}
    GROUP BY GROUPING SETS ((b.action_map_id, b.reason), (b.reason), ())
    ORDER BY b.action_map_id NULLS FIRST, blocked DESC, b.reason LIMIT %(most)s
"""
_SELECT_OF_UNKNOWN_TYPE: LiteralString = f"""
    SELECT coalesce(sum(b.blocked), 0)::bigint AS blocked
    FROM blocked_counts AS b WHERE {_OF_ANY_TYPE} AND b.media_type IS NULL
"""
_SELECT_OF_MAPS: LiteralString = f"""
    SELECT b.action_map_id::text, b.media_type,
        CASE WHEN %(by_version)s THEN b.action_map_version END AS version, sum(b.blocked)::bigint AS blocked
    FROM blocked_counts AS b
    WHERE {_OF_ANY_TYPE}
      AND (%(media_type)s::text IS NULL OR b.media_type IS NULL OR b.media_type = %(media_type)s)
    GROUP BY 1, 2, 3 LIMIT %(most)s
"""
# The first half of a stream's id is its visitor's token.
_SELECT_REMEMBERED: LiteralString = f"""
    SELECT b.action_map_id::text, b.reason, count(*) AS remembered,
        count(DISTINCT left(b.originator_id::text, 18)) AS visitors
    FROM blocked_offers AS b WHERE {_ASKED}
    GROUP BY GROUPING SETS ((b.action_map_id, b.reason), (b.reason), ())
"""
_TOKEN: LiteralString = "('x' || left(replace(b.originator_id::text, '-', ''), 16))::bit(64)::bigint"  # noqa: S105 - no password
_SELECT_EVENTS: LiteralString = f"""
    SELECT b.action_map_id::text, b.reason, b.originator_id, b.event_version AS version, e.topic, e.state,
        v.kek, v.wrapped_key
    FROM (SELECT b.* FROM blocked_offers AS b WHERE {_ASKED}) AS b
    LEFT JOIN offerlog_events e
        ON e.originator_id = b.originator_id AND e.originator_version = b.event_version
    JOIN visitors v ON v.token = {_TOKEN}
"""

_Group = tuple[ActionMapId | None, str | None]
"""A map and a reason; None for all of them."""


class BlockedOfferReads:
    """The counts of blocked offers of one snapshot.

    Args:
        cursor: In a transaction.
        query: The range, the maps and the media type.
        mapper: Opens the sessions.
        keys: Has the keys for it.
        files: Has the events that are archived.
    """

    def __init__(
        self,
        cursor: Cursor[DictRow],
        query: ReportQuery,
        mapper: EventMapper,
        keys: VisitorKeys,
        files: ArchivedFiles,
    ) -> None:
        self._cursor = cursor
        self._mapper = mapper
        self._keys = keys
        self._files = files
        self._parameters: Mapping[str, Any] = {
            "organization": query.organization,
            "maps": list(query.action_maps) or None,
            "media_type": query.media_type,
            "first": -(1 << 31) if query.start is None else slot(query.start),
            "end": (1 << 31) - 1 if query.end is None else slot(query.end),
        }

    def counts(
        self, most: int, most_sessions: int
    ) -> tuple[Sequence[BlockedCount], Mapping[_Group, Collection[UUID]]]:
        """Count by map and reason, by reason, and in all; at most `most` groups and one more.

        Sessions are counted up to a number of remembered offers; returns them, too.
        """
        counted = [row for row in self._select(_SELECT_COUNTS, most=most + 1) if row["blocked"]]
        if not counted:
            return [], {}
        remembered: dict[_Group, DictRow] = {
            (row["action_map_id"], row["reason"]): row for row in self._select(_SELECT_REMEMBERED)
        }
        total = remembered[None, None]["remembered"]
        sessions = self._sessions() if 0 < total <= most_sessions else {}
        found: list[BlockedCount] = []
        for row in counted:
            group = row["action_map_id"], row["reason"]
            known = remembered.get(group, _NONE)
            opened = len(sessions.get(group, ())) if total <= most_sessions else None
            found.append(BlockedCount(*group, row["blocked"], known["remembered"], known["visitors"], opened))
        return found, sessions

    def of_unknown_type(self) -> int:
        """Count those whose media type is not known, whatever media type the query has."""
        return int(self._select(_SELECT_OF_UNKNOWN_TYPE)[0]["blocked"])

    def of_maps(self, most: int, *, by_version: bool) -> Mapping[MapVersion, int]:
        """Count by map and media type, or by version too; at most `most` groups and one more.

        With a media type, those count too of which it is not known.
        """
        return {
            MapVersion(row["action_map_id"], row["media_type"], row["version"]): row["blocked"]
            for row in self._select(_SELECT_OF_MAPS, most=most + 1, by_version=by_version)
        }

    def _sessions(self) -> Mapping[_Group, set[UUID]]:
        """Open the sessions of remembered offers, by map and reason, by reason, and all of them."""
        found: defaultdict[_Group, set[UUID]] = defaultdict(set)
        rows = self._select(_SELECT_EVENTS)
        missing = sorted({row["originator_id"] for row in rows if row["topic"] is None})
        archived = {
            (stream, version): {"topic": topic, "state": state}
            for _, stream, version, topic, state in select_each(self._cursor.connection, self._files, missing)
        }
        for stored in rows:
            row = stored | archived.get((stored["originator_id"], stored["version"]), {})
            if row["topic"] is None:
                continue
            stream_id, wrapped_key = row["originator_id"], bytes(row["wrapped_key"])
            stream = OpenStream(stream_id, self._keys.sealer(row["kek"], wrapped_key))
            opened = self._mapper.open_event(
                stream_id, stream, row["version"], row["topic"], bytes(row["state"])
            )
            session, reason = opened.private.session_id, row["reason"]
            for group in ((row["action_map_id"], reason), (None, reason), (None, None)):
                found[group].add(session)
        return found

    def _select(self, statement: LiteralString, **more: int) -> list[DictRow]:
        """Run a statement with the time that is left."""
        limit_statements(self._cursor)
        return self._cursor.execute(statement, {**self._parameters, **more}).fetchall()


_NONE: Mapping[str, int] = {"remembered": 0, "visitors": 0}
