"""Lists from the projections' tables.

Long lists are streamed page by page. Each page is one query, which continues after the last row, so a
slow reader holds neither a transaction nor a connection.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

from psycopg.rows import tuple_row

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
from offerlog_application.ports.store_figures import PoolUse
from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy
from offerlog_domain.events import SignalParked
from offerlog_domain.identity import ActionMapId, OfferKey, VisitorKey, name_offer
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import KEPT_TEXT_BYTES
from offerlog_domain.stream_ids import ALL_TOKENS, tokens_of_slice
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.postgres.action_map_policies import (
    JOIN_POLICY,
    SUPPRESSED_UNTIL,
    read_policy,
    select_policies,
)
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.known_policies import KnownPolicies, Policies
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private
from offerlog_infrastructure.postgres.log.short_signals import PostgresParkedShortSignals
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.lookups import Lookups
from offerlog_infrastructure.postgres.reads.progress import JOIN_NEXT_EVENT, age_of, read_statuses
from offerlog_infrastructure.postgres.reads.streaming import stream_rows
from offerlog_infrastructure.sealing import UnsealError

_PAGE: Final = 2_000
"""Suppressions per page of a streamed list."""

_PARKED_PAGE: Final = 250
"""Parked signals per page; with the longest texts they take a megabyte."""

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
"""A time before that of each parked signal."""

_SUPPRESSED: LiteralString = (
    "v.token, v.kek, v.wrapped_key, s.action_map_id, s.state, s.since, s.version, s.sealed"
)
_EPOCH: LiteralString = "(SELECT epoch FROM log_epoch)"
"""The epoch of the snapshot, under which policies are remembered. A join would make each look-up slower."""

_SELECT_BY_VISITOR: LiteralString = f"""
    SELECT {_SUPPRESSED}, {_EPOCH} FROM visitors v JOIN suppressions s ON s.visitor = v.token
    WHERE v.digest = %s ORDER BY s.action_map_id
"""
_SELECT_BY_VISITORS: LiteralString = f"""
    SELECT v.digest, {_SUPPRESSED}, {_EPOCH}
    FROM (SELECT DISTINCT * FROM unnest(%s::text::uuid[])) AS asked (digest)
    JOIN visitors v USING (digest) JOIN suppressions s ON s.visitor = v.token
    ORDER BY s.action_map_id LIMIT %s
"""
_SELECT_BY_ACTION_MAP: LiteralString = f"""
    SELECT s.visitor, v.names, p.suppress_for, {_SUPPRESSED}
    FROM suppressions s JOIN visitors v ON v.token = s.visitor {JOIN_POLICY}
    WHERE s.organization = %(organization)s AND s.action_map_id = %(action_map_id)s
      AND coalesce({SUPPRESSED_UNTIL} > %(now)s, true)
      AND s.visitor > %(visitor)s AND s.visitor <= %(last)s
      AND v.token > %(visitor)s AND v.token <= %(last)s -- likewise, for a merge join
    ORDER BY s.visitor LIMIT %(limit)s
"""
_SELECT_TOKEN: LiteralString = "SELECT token FROM visitors WHERE digest = %s"  # noqa: S105 - no password
_SELECT_PARKED: LiteralString = """
    SELECT p.position, p.parked_at, p.raw_length, p.version, p.action_map_id, p.sealed, v.token, v.kek,
        v.wrapped_key
    FROM parked_signals p JOIN visitors v ON v.token = p.visitor
    WHERE p.organization = %(organization)s
      AND (p.parked_at, p.position) > (%(parked_at)s::timestamptz, %(position)s)
    ORDER BY p.parked_at, p.position LIMIT %(limit)s
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
_ACTION_MAP: Final = 3
"""The place of the action map in a row of `_SUPPRESSED`."""

_SUPPRESSED_NAMES: Final = [column.split(".")[1] for column in _SUPPRESSED.split(", ")]

_PARKED_NAME: Final = SignalParked.stored_name.encode()

_SELECT_FRESHNESS: LiteralString = f"""
    SELECT t.notification_id, coalesce((SELECT events FROM dead_letter_counts WHERE view = 'suppression'), 0),
        next.originator_id, next.originator_version, next.topic, next.state
    FROM offerlog_tracking t {JOIN_NEXT_EVENT}
    WHERE application_name = 'suppression'
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
        self._policies = KnownPolicies(self._select_policies)
        self._short_signals = PostgresParkedShortSignals(application)

    def use_of_look_ups(self) -> PoolUse:
        """Return the use of the connections of look-ups."""
        return self._lookups.use()

    def close(self) -> None:
        """Close the connections of look-ups."""
        self._lookups.close()

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """List the maps that must not offer to this visitor, sorted by map."""
        key = self._application.keys.find_key(organization)
        if key is None:
            return []
        rows = self._lookups.rows(_SELECT_BY_VISITOR, (key.digest(visitor),))
        return self._in_force(organization, [(visitor, row) for row in rows])

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """List the same for many visitors, by one query. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 suppressions together. Those count,
                too, that a policy has ended and that are still stored.
            ReadTimeoutError: It took longer than a look-up may.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._application.keys.find_key(organization)
        found: dict[VisitorKey, list[Suppression]] = {visitor: [] for visitor in visitors}
        if key is None:
            return found
        named = {key.digest(visitor): visitor for visitor in visitors}
        # As text: the driver takes arrays apart in Python.
        digests = ",".join([f"{digest.int:032x}" for digest in named])
        rows = self._lookups.rows(_SELECT_BY_VISITORS, (f"{{{digests}}}", MAX_SUPPRESSIONS + 1))
        for one in self._in_force(organization, [(named[digest], row) for digest, *row in rows]):
            found[VisitorKey(one.customer_id_type, one.customer_id)].append(one)
        # Rows beyond the limit were not read. A visitor named twice counts twice.
        if len(rows) > MAX_SUPPRESSIONS or sum(len(found[one]) for one in visitors) > MAX_SUPPRESSIONS:
            raise TooManySuppressionsError
        return found

    def freshness(self) -> Freshness:
        """Return how up to date the suppression list is."""
        ((position, waiting, *event),) = self._lookups.rows(_SELECT_FRESHNESS, ())
        age = age_of(self._application.event_mapper, event, self._clock.now())
        return Freshness(position, age, waiting)

    def suppressions_of_action_map(
        self,
        organization: str,
        action_map_id: ActionMapId,
        behind: VisitorKey | None = None,
        *,
        of_slice: int | None = None,
    ) -> Generator[Suppression]:
        """Stream the visitors that this map must not offer to, sorted, after a given visitor if any.

        With `of_slice`, only those of a slice.
        """
        low, high = ALL_TOKENS if of_slice is None else tokens_of_slice(of_slice)
        # The first token of a slice is no visitor's: its second is 0.
        start = low if behind is None else self._find_token(organization, behind)
        where = {
            "organization": organization,
            "action_map_id": action_map_id,
            "now": self._clock.now(),
            "last": high,
        }
        rows = stream_rows(self._datastore, _SELECT_BY_ACTION_MAP, where, {"visitor": start}, page=_PAGE)
        for row in rows:
            token, kek, wrapped_key = row["token"], row["kek"], bytes(row["wrapped_key"])
            visitor = self._keys.open_names(token, kek, wrapped_key, bytes(row["names"]))
            policy = read_policy(row["suppress_for"])
            yield self._suppression(visitor, [row[column] for column in _SUPPRESSED_NAMES], policy)

    def _find_token(self, organization: str, visitor: VisitorKey) -> int:
        """Return a visitor's token.

        Raises:
            UnknownVisitorError: The store does not know the visitor.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._application.keys.find_key(organization)
        found = [] if key is None else self._lookups.rows(_SELECT_TOKEN, (key.digest(visitor),))
        if not found:
            raise UnknownVisitorError
        return int(found[0][0])

    def parked(
        self, organization: str, *, behind: tuple[datetime, int] | None = None
    ) -> Generator[KeptSignal]:
        """Stream the parked signals, in order of arrival; short ones come last."""
        where = {"organization": organization}
        parked_at, position = behind or (_LONG_AGO, 0)
        place = {"parked_at": parked_at, "position": position}
        for row in stream_rows(self._datastore, _SELECT_PARKED, where, place, page=_PARKED_PAGE):
            stream = self._keys.open_stream(
                row["token"], row["kek"], bytes(row["wrapped_key"]), row["action_map_id"]
            )
            raw = decode_private(_open(stream, bytes(row["sealed"]), row["version"], _PARKED_NAME)).raw or b""
            length = row["raw_length"] or len(raw)
            text, number = raw[:KEPT_TEXT_BYTES], row["position"]
            yield KeptSignal(row["parked_at"], None, None, None, text, length, number)
        yield from self._short_signals.waiting(organization)

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
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            archived = ArchivedLag(cursor.connection, self._application.archived_files)
            return read_statuses(cursor, self._application.event_mapper, self._clock.now(), archived)

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

    def _in_force(
        self, organization: str, rows: Sequence[tuple[VisitorKey, Sequence[Any]]]
    ) -> list[Suppression]:
        """Open the rows of `_SUPPRESSED` and `_EPOCH` that suppress an offer now."""
        if not rows:
            return []
        self._policies.note_epoch(rows[0][1][-1])
        policies = self._policies.of([organization])[organization]
        if not policies:
            return [self._suppression(visitor, row[:-1]) for visitor, row in rows]
        now = self._clock.now()
        opened = [
            self._suppression(visitor, row[:-1], policies.get(row[_ACTION_MAP], NO_POLICY))
            for visitor, row in rows
        ]
        return [one for one in opened if one.until is None or one.until > now]

    def _select_policies(self, organizations: Collection[str]) -> Policies:
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            return select_policies(connection, organizations)

    def _suppression(
        self, visitor: VisitorKey, row: Sequence[Any], policy: ActionMapPolicy = NO_POLICY
    ) -> Suppression:
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
            policy.suppressed_until(State(state), since) if policy.suppress_for else None,
        )


def _open(stream: OpenStream, sealed: bytes, version: int, name: bytes) -> bytes:
    """Open the private fields that a projection keeps.

    Raises:
        UnsealError: They were changed or moved; the error names the event.
    """
    try:
        return stream.open(sealed, version, name)
    except UnsealError:
        raise UnsealError(f"the private part of event {version} of stream {stream.id}") from None
