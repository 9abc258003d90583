"""Lists from the projections' tables.

Long lists are streamed page by page. Each page is a query of its own that continues after the last row, so a
slow reader holds neither a transaction nor a connection.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.rows import DictRow

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.read_models import (
    MAX_SUPPRESSIONS,
    Freshness,
    KeptSignal,
    ProjectionStatus,
    Suppression,
    TooManySuppressionsError,
)
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import UnreadableEventError
from offerlog_infrastructure.postgres.reads.lookups import Lookups
from offerlog_infrastructure.postgres.reads.streaming import stream_rows

_PAGE: Final = 2_000
"""Suppressions per page of a streamed list."""

_PARKED_PAGE: Final = 250
"""Parked signals per page; with the longest texts they take a megabyte."""

_SELECT_BY_VISITOR: LiteralString = """
    SELECT action_map_id::text, state, action_id::text, since FROM suppressions
    WHERE organization = %s AND customer_id_type = %s AND customer_id = %s ORDER BY action_map_id
"""
_SELECT_BY_VISITORS: LiteralString = """
    SELECT s.customer_id_type, s.customer_id, s.action_map_id::text, s.state, s.action_id::text, s.since
    FROM (SELECT DISTINCT * FROM unnest(%s::bytea[], %s::bytea[])) AS asked (customer_id_type, customer_id)
    JOIN suppressions s USING (customer_id_type, customer_id)
    WHERE s.organization = %s ORDER BY s.action_map_id LIMIT %s
"""
_SELECT_BY_ACTION_MAP: LiteralString = """
    SELECT customer_id, customer_id_type, action_map_id, state, action_id, since FROM suppressions
    WHERE organization = %(organization)s AND action_map_id = %(action_map_id)s
      AND (customer_id_type, customer_id) > (%(customer_id_type)s, %(customer_id)s)
    ORDER BY customer_id_type, customer_id LIMIT %(limit)s
"""
_SELECT_PARKED: LiteralString = """
    SELECT position, parked_at AS recorded_at,
        substring(raw FOR 4096) AS raw, coalesce(raw_length, octet_length(raw)) AS raw_length
    FROM parked_signals WHERE organization = %(organization)s AND position > %(position)s
    ORDER BY position LIMIT %(limit)s
"""
_SELECT_DUE: LiteralString = """
    (
        SELECT originator_id, organization FROM current_offers
        WHERE withdrawn_at <= %(deadline)s AND originator_id <> ALL (%(besides)s)
        ORDER BY withdrawn_at LIMIT %(limit)s
    )
    UNION
    (
        SELECT originator_id, organization FROM parked_signals
        WHERE parked_at <= %(parked)s AND originator_id <> ALL (%(besides)s)
        ORDER BY parked_at LIMIT %(limit)s
    )
    LIMIT %(limit)s
"""
"""An import can make very many invitations due at once, so each branch reads at most `limit` rows."""
_MAX_COUNTED: Final = 10_000
"""Up to so many missing events are counted; beyond it, positions are, though some hold no event."""

_SELECT_NEXT_EVENT: LiteralString = """
    SELECT * FROM offerlog_events e WHERE e.notification_id > t.notification_id
    ORDER BY e.notification_id LIMIT 1
"""
_SELECT_STATUS: LiteralString = f"""
    SELECT application_name AS name, t.notification_id AS position,
        (
            SELECT count(*) FROM (
                SELECT FROM offerlog_events e
                WHERE e.notification_id > t.notification_id LIMIT {_MAX_COUNTED + 1}
            ) AS newer
        ) AS behind,
        (SELECT max(notification_id) FROM offerlog_events) AS last,
        (SELECT coalesce(sum(waiting), 0)::bigint FROM dead_letters d WHERE d.view = t.application_name)
            AS waiting,
        next.originator_id, next.originator_version, next.topic, next.state
    FROM offerlog_tracking t LEFT JOIN LATERAL ({_SELECT_NEXT_EVENT}) AS next ON true
    WHERE application_name <> '__migration__' ORDER BY 1
"""
"""Costs the same however far a projection is behind."""
_SELECT_FRESHNESS: LiteralString = f"""
    SELECT t.notification_id, (SELECT coalesce(sum(waiting), 0)::bigint FROM dead_letters WHERE view = %s),
        next.originator_id, next.originator_version, next.topic, next.state
    FROM offerlog_tracking t LEFT JOIN LATERAL ({_SELECT_NEXT_EVENT}) AS next ON true
    WHERE application_name = %s
"""
"""Counts nothing, because every page view asks, even while the projections are far behind an import."""


class PostgresReadSide:
    """Lists of read models and of the log's side tables, and the `Deadlines`; thread-safe."""

    def __init__(self, application: OfferlogApplication, clock: Clock) -> None:
        self._application = application
        self._clock = clock
        self._datastore = application.reading
        self._lookups = Lookups(application)

    def close(self) -> None:
        """Close the connections of look-ups."""
        self._lookups.close()

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """List the maps that must not offer to this visitor, sorted by map."""
        rows = self._lookups.rows(_SELECT_BY_VISITOR, (organization, *visitor.encode()))
        return [Suppression(visitor.id, visitor.type, *row) for row in rows]

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """List the same for many visitors, by one query. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 suppressions together.
            ReadTimeoutError: It took longer than a look-up may.
            StoreUnavailableError: The store cannot be reached.
        """
        kinds, ids = [kind.encode() for kind, _ in visitors], [who.encode() for _, who in visitors]
        found: dict[VisitorKey, list[Suppression]] = {visitor: [] for visitor in visitors}
        for kind, who, *row in self._lookups.rows(
            _SELECT_BY_VISITORS, (kinds, ids, organization, MAX_SUPPRESSIONS + 1)
        ):
            visitor = VisitorKey.decode(kind, who)
            found[visitor].append(Suppression(visitor.id, visitor.type, *row))
        if (
            sum(len(found[visitor]) for visitor in visitors) > MAX_SUPPRESSIONS
        ):  # a visitor named twice counts twice
            raise TooManySuppressionsError
        return found

    def freshness(self, projection: str = "suppression") -> Freshness:
        """Return how up to date a projection is."""
        ((position, waiting, *event),) = self._lookups.rows(_SELECT_FRESHNESS, (projection, projection))
        return Freshness(position, self._age(event), waiting)

    def suppressions_of_action_map(
        self, organization: str, action_map_id: ActionMapId, behind: VisitorKey | None = None
    ) -> Generator[Suppression]:
        """Stream the visitors that this map must not offer to, sorted, after a given visitor if any."""
        where = {"organization": organization, "action_map_id": action_map_id}
        kind, who = (b"", b"") if behind is None else behind.encode()
        places = {"customer_id_type": kind, "customer_id": who}
        for row in stream_rows(self._datastore, _SELECT_BY_ACTION_MAP, where, places, page=_PAGE):
            yield _to_suppression(row)

    def parked(self, organization: str) -> Generator[KeptSignal]:
        """Stream the parked signals, in order of arrival."""
        where = {"organization": organization}
        for row in stream_rows(self._datastore, _SELECT_PARKED, where, {"position": 0}, page=_PARKED_PAGE):
            yield _to_kept_signal(row)

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[UUID] = (),
    ) -> Sequence[tuple[UUID, str]]:
        """List streams with an overdue invitation or an overdue parked signal."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            parameters = {"deadline": deadline_before, "parked": parked_before, "limit": limit}
            rows = cursor.execute(_SELECT_DUE, parameters | {"besides": list(besides)})
            return [(row["originator_id"], row["organization"]) for row in rows]

    def status(self) -> Sequence[ProjectionStatus]:
        """List position, lag and waiting events of every projection."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(_SELECT_STATUS).fetchall()
        return [
            ProjectionStatus(
                row["name"],
                row["position"],
                row["behind"] if row["behind"] <= _MAX_COUNTED else row["last"] - row["position"],
                self._age([row[name] for name in ("originator_id", "originator_version", "topic", "state")]),
                row["waiting"],
            )
            for row in rows
        ]

    def position(self) -> int:
        """Return the position that all projections have reached."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(
                "SELECT min(notification_id) AS position FROM offerlog_tracking"
                " WHERE application_name <> '__migration__'",
                prepare=True,
            ).fetchone()
            assert row is not None  # noqa: S101 - an aggregate has one row
            return int(row["position"] or 0)

    def _age(self, missing: Sequence[Any]) -> float | None:
        """Return the seconds since the oldest missing event was recorded; 0 if none is missing."""
        stream, version, topic, state = missing
        if stream is None:
            return 0.0
        try:
            recorded = self._application.event_mapper.event(stream, version, topic, bytes(state))
        except UnreadableEventError:
            return None
        return max((self._clock.now() - recorded.event.recorded_at).total_seconds(), 0.0)


def _to_suppression(row: DictRow) -> Suppression:
    visitor = VisitorKey.decode(row["customer_id_type"], row["customer_id"])
    return Suppression(
        visitor.id,
        visitor.type,
        str(row["action_map_id"]),
        row["state"],
        str(row["action_id"]),
        row["since"],
    )


def _to_kept_signal(row: DictRow) -> KeptSignal:
    return KeptSignal(row["recorded_at"], None, None, None, bytes(row["raw"]), row["raw_length"])
