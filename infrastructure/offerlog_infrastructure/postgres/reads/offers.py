"""Single offers and their ends, for analysts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from offerlog_application.ports.offer_parts import AskedNumber, OfferRows
from offerlog_application.ports.offer_reads import (
    BlockedCounts,
    CohortCounts,
    CohortTimes,
    ListPlace,
    MapCounts,
    MapVersion,
    OfferNumber,
    OfferOfVisitor,
    OfferPage,
    StepTimes,
)
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.offer_lists import list_offers, parts_of_list
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import CountBy
from offerlog_domain.stream_ids import stream_bounds
from offerlog_infrastructure.postgres.action_map_policies import JOIN_POLICY, SUPPRESSED_UNTIL
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.blocked_offers import BlockedOfferReads
from offerlog_infrastructure.postgres.reads.listed_offers import select_some
from offerlog_infrastructure.postgres.reads.map_counts import select_map_counts, select_media_types
from offerlog_infrastructure.postgres.reads.offer_snapshots import offer_parameters, offer_snapshot
from offerlog_infrastructure.postgres.reads.performance import decode_name
from offerlog_infrastructure.postgres.reads.read_transaction import (
    read_transaction,
)

_OFFERED_WITHIN: LiteralString = """
    organization = %(organization)s AND action_map_id = ANY (%(maps)s::uuid[])
      AND (%(start)s::timestamptz IS NULL OR offered_at >= %(start)s)
      AND (%(until)s::timestamptz IS NULL OR offered_at < %(until)s)
      AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s)
"""
SELECT_TOO_MANY: LiteralString = f"""
    SELECT count(*) > %(most)s AS too_many FROM (
        SELECT FROM current_actions WHERE accepted_at IS NOT NULL AND {_OFFERED_WITHIN} LIMIT %(most)s + 1
    ) AS accepted
"""
STEPS_OF_ACTIONS: LiteralString = f"""
    SELECT action_map_id,
        extract(epoch FROM accepted_at - offered_at)::float8 AS accepted,
        extract(epoch FROM started_at - offered_at)::float8 AS started,
        CASE state WHEN 'engaged' THEN extract(epoch FROM since - offered_at)::float8 END AS engaged
    FROM current_actions WHERE accepted_at IS NOT NULL AND {_OFFERED_WITHIN}
"""
_SELECT_TIMES: LiteralString = f"""
    SELECT action_map_id::text,
        count(accepted) AS accepted, count(started) AS started, count(engaged) AS engaged,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY accepted) AS accepted_times,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY started) AS started_times,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY engaged) AS engaged_times
    FROM ({STEPS_OF_ACTIONS}) AS steps
    GROUP BY GROUPING SETS ((action_map_id), ())
"""
STEPS: Final = (State.ACCEPTED, State.STARTED, State.ENGAGED)

_SELECT_TOKEN: LiteralString = "SELECT token FROM visitors WHERE digest = %s"  # noqa: S105 - no password
_SELECT_IS_KNOWN: LiteralString = """
    SELECT EXISTS (SELECT FROM visitors WHERE digest = %(digest)s)
        OR EXISTS (SELECT FROM refusals WHERE visitor_digest = %(digest)s)
        OR EXISTS (
            SELECT FROM counted_blocks WHERE organization = %(organization)s AND visitor_digest = %(digest)s
        ) AS known
"""
_SELECT_OFFERS_OF_VISITOR: LiteralString = f"""
    SELECT o.action_map_id::text, substring(n.name FOR 1024) AS name, o.state, o.stage, o.since, o.actions,
        s.visitor IS NOT NULL AND coalesce({SUPPRESSED_UNTIL} > %(now)s, true) AS is_suppressed,
        (SELECT count(*) FROM blocked_offers b WHERE b.originator_id = o.originator_id) AS blocked
    FROM current_offers o
    LEFT JOIN suppressions s ON s.visitor = o.visitor AND s.action_map_id = o.action_map_id
    {JOIN_POLICY}
    LEFT JOIN action_map_names n ON n.organization = o.organization AND n.action_map_id = o.action_map_id
    WHERE o.originator_id BETWEEN %(low)s AND %(high)s
      AND (%(behind)s::uuid IS NULL OR o.action_map_id > %(behind)s)
    ORDER BY o.action_map_id LIMIT %(limit)s
"""


class PostgresOfferReads:
    """The application's `OfferReads`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._mapper = application.event_mapper
        self._files = application.archived_files
        self._keys = application.visitor_keys

    def cohort(self, query: ReportQuery, touched_after: datetime, most: int | None) -> CohortCounts:
        """Count the actions that were offered in a range; at most `most` maps and one more."""
        with offer_snapshot(self._datastore) as snapshot:
            counted = snapshot.count(query, most)
            states = {action_map: counts.states for action_map, counts in counted.items()}
            media_types = {action_map: counts.media_types for action_map, counts in counted.items()}
            if not states or (most is not None and len(states) > most):
                return CohortCounts(snapshot.position, states, media_types, {}, {}, {})
            maps = list(states)
            return CohortCounts(
                snapshot.position,
                states,
                media_types,
                snapshot.count_forms(query, maps),
                snapshot.count_still_open(query, maps, touched_after),
                snapshot.count_taken(query),
            )

    def map_counts(self, query: ReportQuery, most: int, *, by_version: bool) -> MapCounts:
        """Count the actions or visitors of a range, by map and media type, or also by version."""
        with offer_snapshot(self._datastore) as snapshot:
            cursor, position = snapshot.cursor, snapshot.position
            first, end = snapshot.find_slots(query)
            counts: Mapping[MapVersion, Mapping[State, int]] = {}
            if first < end:
                counts = select_map_counts(cursor, query, first, end, most, by_version=by_version)
            if query.count_by is CountBy.VISITORS or len(counts) > most:
                return MapCounts(position, counts, {}, {})
            reads = BlockedOfferReads(cursor, query, self._mapper, self._keys, self._files)
            blocked = reads.of_maps(most, by_version=by_version)
            unknown = sorted({group.action_map_id for group in blocked if group.media_type is None})
            return MapCounts(position, counts, blocked, select_media_types(cursor, query, unknown))

    @again_if_replaced
    def blocked(self, query: ReportQuery, most: int, most_sessions: int) -> BlockedCounts:
        """Count the blocked offers of a range; sessions are counted up to a number of remembered offers."""
        with offer_snapshot(self._datastore) as snapshot:
            reads = BlockedOfferReads(snapshot.cursor, query, self._mapper, self._keys, self._files)
            counts, sessions = reads.counts(most, most_sessions)
            return BlockedCounts(snapshot.position, counts, reads.of_unknown_type(), sessions)

    def times(self, query: ReportQuery, most: int) -> CohortTimes | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""
        with offer_snapshot(self._datastore) as snapshot:
            parameters = offer_parameters(query, list(snapshot.count(query)))
            if snapshot.select(SELECT_TOO_MANY, parameters | {"most": most})[0]["too_many"]:
                return None
            rows = snapshot.select(_SELECT_TIMES, parameters)
        return CohortTimes(
            snapshot.position,
            {
                row["action_map_id"]: {
                    step: StepTimes(row[step], *(row[f"{step}_times"] or (None, None))) for step in STEPS
                }
                for row in rows
            },
        )

    def offers_behind(
        self, query: ReportQuery, number: OfferNumber, touched_after: datetime, behind: ListPlace, limit: int
    ) -> OfferPage:
        """Return a page of the offers behind a number, by action map."""
        with offer_snapshot(self._datastore) as snapshot:
            asked = AskedNumber(query, number, touched_after)
            counts = snapshot.count_behind(asked)

            def select(place: ListPlace, limit: int, most: int) -> OfferRows:
                rows, looked_to = select_some(snapshot.cursor, self._keys, asked, place, (limit, most))
                return OfferRows(snapshot.position, counts[ActionMapId(place.action_map_id)], rows, looked_to)

            offers, place = list_offers(counts, len(parts_of_list(query, number)), behind, limit, select)
        return OfferPage(snapshot.position, sum(counts.values()), offers, place)

    def offers_of_visitor(
        self,
        organization: str,
        visitor_digest: UUID,
        behind: ActionMapId | None,
        limit: int,
        *,
        now: datetime,
    ) -> Sequence[OfferOfVisitor]:
        """Return the visitor-offers of a visitor, sorted by action map, after `behind` if given.

        Suppressions are those at the time `now`.
        """
        del organization  # the digest is keyed by it
        with offer_snapshot(self._datastore) as snapshot:
            visitor = snapshot.cursor.execute(_SELECT_TOKEN, (visitor_digest,)).fetchone()
            if visitor is None:
                return []
            low, high = stream_bounds(visitor["token"])
            parameters = {"low": low, "high": high, "behind": behind, "limit": limit, "now": now}
            rows = snapshot.select(_SELECT_OFFERS_OF_VISITOR, parameters)
        return [
            OfferOfVisitor(
                row["action_map_id"],
                None if row["name"] is None else decode_name(bytes(row["name"])),
                State(row["state"]),
                None if row["stage"] is None else Stage(row["stage"]),
                row["since"],
                row["actions"],
                row["is_suppressed"],
                row["blocked"],
            )
            for row in rows
        ]

    def is_known(self, organization: str, visitor_digest: UUID) -> bool:
        """Return whether an event, a refused signal or a counted blocked offer of the visitor is held."""
        parameters = {"organization": organization, "digest": visitor_digest}
        with read_transaction(self._datastore) as cursor:
            row = cursor.execute(_SELECT_IS_KNOWN, parameters).fetchone()
            return row is not None and bool(row["known"])
