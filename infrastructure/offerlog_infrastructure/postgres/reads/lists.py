"""Lists from the projections' tables.

Long lists are streamed page by page. Each page is a query of its own that continues after the last row, so a
slow reader holds neither a transaction nor a connection.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.read_models import (
    MAX_SUPPRESSIONS,
    Freshness,
    KeptSignal,
    ProjectionStatus,
    Suppression,
    TooManySuppressionsError,
    UnknownVisitorError,
)
from offerlog_domain.events import SignalParked
from offerlog_domain.identity import ActionMapId, OfferKey, OrganizationKey, VisitorKey, name_offer
from offerlog_domain.outcomes import KEPT_TEXT_BYTES
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private
from offerlog_infrastructure.postgres.log.mapper import UnreadableEventError
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.lookups import Lookups
from offerlog_infrastructure.postgres.reads.streaming import stream_rows
from offerlog_infrastructure.sealing import UnsealError

_PAGE: Final = 2_000
"""Suppressions per page of a streamed list."""

_PARKED_PAGE: Final = 250
"""Parked signals per page; with the longest texts they take a megabyte."""

_SUPPRESSED: LiteralString = (
    "v.token, v.kek, v.wrapped_key, s.action_map_id, s.state, s.since, s.version, s.sealed"
)
_SELECT_BY_VISITOR: LiteralString = f"""
    SELECT {_SUPPRESSED} FROM visitors v JOIN suppressions s ON s.visitor = v.token
    WHERE v.digest = %s ORDER BY s.action_map_id
"""
_SELECT_BY_VISITORS: LiteralString = f"""
    SELECT v.digest, {_SUPPRESSED}
    FROM (SELECT DISTINCT * FROM unnest(%s::text::uuid[])) AS asked (digest)
    JOIN visitors v USING (digest) JOIN suppressions s ON s.visitor = v.token
    ORDER BY s.action_map_id LIMIT %s
"""
_SELECT_BY_ACTION_MAP: LiteralString = f"""
    SELECT s.visitor, v.names, {_SUPPRESSED} FROM suppressions s JOIN visitors v ON v.token = s.visitor
    WHERE s.organization = %(organization)s AND s.action_map_id = %(action_map_id)s
      AND s.visitor > %(visitor)s AND v.token > %(visitor)s -- the latter for a merge join
    ORDER BY s.visitor LIMIT %(limit)s
"""
_SELECT_TOKEN: LiteralString = "SELECT token FROM visitors WHERE digest = %s"  # noqa: S105 - no password
_SELECT_PARKED: LiteralString = """
    SELECT p.position, p.parked_at, p.raw_length, p.version, p.action_map_id, p.sealed, v.token, v.kek,
        v.wrapped_key
    FROM parked_signals p JOIN visitors v ON v.token = p.visitor
    WHERE p.organization = %(organization)s AND p.position > %(position)s
    ORDER BY p.position LIMIT %(limit)s
"""
_SELECT_DUE: LiteralString = """
    WITH besides AS (
        SELECT stream_id(v.token, wanted.action_map_id) AS originator_id
        FROM unnest(%(digests)s::uuid[], %(maps)s::uuid[]) AS wanted (digest, action_map_id)
        JOIN visitors v USING (digest)
    ), due AS (
        (
            SELECT visitor, action_map_id FROM current_offers
            WHERE withdrawn_at <= %(deadline)s AND originator_id NOT IN (SELECT originator_id FROM besides)
            ORDER BY withdrawn_at LIMIT %(limit)s
        )
        UNION
        (
            SELECT visitor, action_map_id FROM parked_signals
            WHERE parked_at <= %(parked)s AND originator_id NOT IN (SELECT originator_id FROM besides)
            ORDER BY parked_at LIMIT %(limit)s
        )
        LIMIT %(limit)s
    )
    SELECT v.organization, v.digest, due.action_map_id FROM due JOIN visitors v ON v.token = due.visitor
"""
"""An import can make very many invitations due at once, so each branch reads at most `limit` rows."""
_SUPPRESSED_NAMES: Final = [column.split(".")[1] for column in _SUPPRESSED.split(", ")]

_BEFORE_ALL: Final = -(1 << 63)
"""A number before all tokens."""

_PARKED_NAME: Final = SignalParked.stored_name.encode()

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
        self._keys = application.visitor_keys
        self._organizations: dict[str, OrganizationKey] = {}

    def close(self) -> None:
        """Close the connections of look-ups."""
        self._lookups.close()

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """List the maps that must not offer to this visitor, sorted by map."""
        key = self._organization(organization)
        if key is None:
            return []
        rows = self._lookups.rows(_SELECT_BY_VISITOR, (key.digest(visitor),))
        return [self._suppression(visitor, row) for row in rows]

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """List the same for many visitors, by one query. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 suppressions together.
            ReadTimeoutError: It took longer than a look-up may.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._organization(organization)
        found: dict[VisitorKey, list[Suppression]] = {visitor: [] for visitor in visitors}
        if key is None:
            return found
        named = {key.digest(visitor): visitor for visitor in visitors}
        # As text: the driver takes arrays apart in Python.
        digests = ",".join([f"{digest.int:032x}" for digest in named])
        for digest, *row in self._lookups.rows(_SELECT_BY_VISITORS, (f"{{{digests}}}", MAX_SUPPRESSIONS + 1)):
            visitor = named[digest]
            found[visitor].append(self._suppression(visitor, row))
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
        start = _BEFORE_ALL if behind is None else self._find_token(organization, behind)
        where = {"organization": organization, "action_map_id": action_map_id}
        rows = stream_rows(self._datastore, _SELECT_BY_ACTION_MAP, where, {"visitor": start}, page=_PAGE)
        for row in rows:
            token, kek, wrapped_key = row["token"], row["kek"], bytes(row["wrapped_key"])
            visitor = self._keys.open_names(token, kek, wrapped_key, bytes(row["names"]))
            yield self._suppression(visitor, [row[column] for column in _SUPPRESSED_NAMES])

    def _find_token(self, organization: str, visitor: VisitorKey) -> int:
        """Return a visitor's token.

        Raises:
            UnknownVisitorError: The store does not know the visitor.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._organization(organization)
        found = [] if key is None else self._lookups.rows(_SELECT_TOKEN, (key.digest(visitor),))
        if not found:
            raise UnknownVisitorError
        return int(found[0][0])

    def parked(self, organization: str) -> Generator[KeptSignal]:
        """Stream the parked signals, in order of arrival."""
        where = {"organization": organization}
        for row in stream_rows(self._datastore, _SELECT_PARKED, where, {"position": 0}, page=_PARKED_PAGE):
            stream = self._keys.open_stream(
                row["token"], row["kek"], bytes(row["wrapped_key"]), row["action_map_id"]
            )
            raw = decode_private(_open(stream, bytes(row["sealed"]), row["version"], _PARKED_NAME)).raw or b""
            length = row["raw_length"] or len(raw)
            yield KeptSignal(row["parked_at"], None, None, None, raw[:KEPT_TEXT_BYTES], length)

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[OfferKey] = (),
    ) -> Sequence[OfferKey]:
        """List visitor-offers with an overdue invitation or an overdue parked signal."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            parameters = {"deadline": deadline_before, "parked": parked_before, "limit": limit}
            excluded = {
                "digests": [offer.visitor_digest for offer in besides],
                "maps": [offer.action_map_id for offer in besides],
            }
            rows = cursor.execute(_SELECT_DUE, parameters | excluded)
            return [name_offer(row["organization"], row["digest"], row["action_map_id"]) for row in rows]

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

    def _suppression(self, visitor: VisitorKey, row: Sequence[Any]) -> Suppression:
        """Open a row of `_SUPPRESSED`."""
        token, kek, wrapped_key, action_map_id, state, since, version, sealed = row
        stream = self._keys.open_stream(token, kek, bytes(wrapped_key), action_map_id)
        private = decode_private(_open(stream, bytes(sealed), version, state.encode()))
        return Suppression(
            visitor.id,
            visitor.type,
            format_uuid(action_map_id),
            state,
            format_uuid(private.action_id),
            since,
        )

    def _organization(self, organization: str) -> OrganizationKey | None:
        """Return the key of an organization; None if nothing was ever recorded for it."""
        key = self._organizations.get(organization)
        if key is None:
            secret = self._application.keys.find_secret(organization)
            if secret is not None:
                key = self._organizations[organization] = OrganizationKey(organization, secret)
        return key


def _open(stream: OpenStream, sealed: bytes, version: int, name: bytes) -> bytes:
    """Open the private fields that a projection keeps.

    Raises:
        UnsealError: They were changed or moved; the error names the event.
    """
    try:
        return stream.open(sealed, version, name)
    except UnsealError:
        raise UnsealError(f"the private part of event {version} of stream {stream.id}") from None
