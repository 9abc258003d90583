"""Single offers and their ends, for analysts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import DictRow

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
from offerlog_application.projections.slots import slot
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import ACCEPTED_IS_FINAL, CountBy, offer_ends
from offerlog_domain.stream_ids import stream_bounds
from offerlog_infrastructure.postgres.action_map_policies import JOIN_POLICY, SUPPRESSED_UNTIL
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.blocked_offers import BlockedOfferReads
from offerlog_infrastructure.postgres.reads.listed_offers import AskedNumber, select_offers_behind
from offerlog_infrastructure.postgres.reads.map_counts import select_map_counts, select_media_types
from offerlog_infrastructure.postgres.reads.performance import decode_name, select_counts, select_slots
from offerlog_infrastructure.postgres.reads.read_transaction import (
    ONE_SNAPSHOT,
    limit_statements,
    read_transaction,
)

_SELECT_POSITION: LiteralString = """
    SELECT min(notification_id) AS position FROM offerlog_tracking
    WHERE application_name IN ('current_state', 'performance')
"""
_SELECT_FORMS: LiteralString = """
    SELECT action_map_id::text, sum(rejections)::bigint AS rejections FROM form_rejections
    WHERE organization = %(organization)s AND action_map_id = ANY (%(maps)s::uuid[])
      AND slot >= %(first)s AND slot < %(end)s
      AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s)
    GROUP BY 1
"""
# Few rows at any time: those of which something was heard within the time of a lapse.
_SELECT_STILL_OPEN: LiteralString = """
    SELECT a.action_map_id::text, count(*) AS actions
    FROM current_offers o JOIN current_actions a ON a.originator_id = o.originator_id AND a.number = o.actions
    WHERE o.organization = %(organization)s AND o.touched_at > %(touched_after)s
      AND (%(start)s::timestamptz IS NULL OR a.offered_at >= %(start)s)
      AND (%(until)s::timestamptz IS NULL OR a.offered_at < %(until)s)
      AND a.action_map_id = ANY (%(maps)s::uuid[])
      AND (%(media_type)s::text IS NULL OR a.media_type = %(media_type)s)
    GROUP BY 1
"""
_OFFERED_WITHIN: LiteralString = """
    organization = %(organization)s AND action_map_id = ANY (%(maps)s::uuid[])
      AND (%(start)s::timestamptz IS NULL OR offered_at >= %(start)s)
      AND (%(until)s::timestamptz IS NULL OR offered_at < %(until)s)
      AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s)
"""
_SELECT_TOO_MANY: LiteralString = f"""
    SELECT count(*) > %(most)s AS too_many FROM (
        SELECT FROM current_actions WHERE accepted_at IS NOT NULL AND {_OFFERED_WITHIN} LIMIT %(most)s + 1
    ) AS accepted
"""
_SELECT_TIMES: LiteralString = f"""
    SELECT action_map_id::text,
        count(accepted) AS accepted, count(started) AS started, count(engaged) AS engaged,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY accepted) AS accepted_times,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY started) AS started_times,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY engaged) AS engaged_times
    FROM (
        SELECT action_map_id,
            extract(epoch FROM accepted_at - offered_at)::float8 AS accepted,
            extract(epoch FROM started_at - offered_at)::float8 AS started,
            CASE state WHEN 'engaged' THEN extract(epoch FROM since - offered_at)::float8 END AS engaged
        FROM current_actions WHERE accepted_at IS NOT NULL AND {_OFFERED_WITHIN}
    ) AS steps
    GROUP BY GROUPING SETS ((action_map_id), ())
"""
_STEPS: Final = (State.ACCEPTED, State.STARTED, State.ENGAGED)

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
        with self._snapshot() as (cursor, position):
            first, end = _slots(cursor, query)
            counted = select_counts(cursor, query, first, end, [(first, 0)], most=most) if first < end else {}
            states = {action_map: counts.states for (action_map, _), counts in counted.items()}
            media_types = {action_map: counts.media_types for (action_map, _), counts in counted.items()}
            if not states or (most is not None and len(states) > most):
                return CohortCounts(position, states, media_types, {}, {}, {})
            parameters = _parameters(query, list(states)) | {
                "first": first,
                "end": end,
                "touched_after": touched_after,
            }
            forms = _select(cursor, _SELECT_FORMS, parameters)
            still_open = _select(cursor, _SELECT_STILL_OPEN, parameters)
            taken = _select_taken(cursor, query, first, end)
        return CohortCounts(
            position,
            states,
            media_types,
            {row["action_map_id"]: row["rejections"] for row in forms},
            {row["action_map_id"]: row["actions"] for row in still_open},
            taken,
        )

    def map_counts(self, query: ReportQuery, most: int, *, by_version: bool) -> MapCounts:
        """Count the actions or visitors of a range, by map and media type, or also by version."""
        with self._snapshot() as (cursor, position):
            first, end = _slots(cursor, query)
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
        with self._snapshot() as (cursor, position):
            reads = BlockedOfferReads(cursor, query, self._mapper, self._keys, self._files)
            return BlockedCounts(position, reads.counts(most, most_sessions), reads.of_unknown_type())

    def times(self, query: ReportQuery, most: int) -> CohortTimes | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""
        with self._snapshot() as (cursor, position):
            first, end = _slots(cursor, query)
            counted = select_counts(cursor, query, first, end, [(first, 0)], most=None) if first < end else {}
            parameters = _parameters(query, [action_map for action_map, _ in counted]) | {"most": most}
            if _select(cursor, _SELECT_TOO_MANY, parameters)[0]["too_many"]:
                return None
            rows = _select(cursor, _SELECT_TIMES, parameters)
        return CohortTimes(
            position,
            {
                row["action_map_id"]: {
                    step: StepTimes(row[step], *(row[f"{step}_times"] or (None, None))) for step in _STEPS
                }
                for row in rows
            },
        )

    def offers_behind(
        self, query: ReportQuery, number: OfferNumber, touched_after: datetime, behind: ListPlace, limit: int
    ) -> OfferPage:
        """Return a page of the offers behind a number, by action map."""
        with self._snapshot() as (cursor, position):
            first, end = _slots(cursor, query)
            counted = select_counts(cursor, query, first, end, [(first, 0)], most=None) if first < end else {}
            states = {action_map: counts.states for (action_map, _), counts in counted.items()}
            more = {"first": first, "end": end, "touched_after": touched_after}
            parameters = _parameters(query, list(states)) | more
            counts = {one: found.get(number.state, 0) for one, found in states.items()}
            if number.stage is not None:
                forms = {
                    row["action_map_id"]: row["rejections"]
                    for row in _select(cursor, _SELECT_FORMS, parameters)
                }
                for one, count in counts.items():
                    at_form = forms.get(one, 0)
                    counts[one] = at_form if number.stage is Stage.FORM else count - at_form
            elif number.end is not None:
                lasting = {
                    row["action_map_id"]: row["actions"]
                    for row in _select(cursor, _SELECT_STILL_OPEN, parameters)
                }
                taken = _select_taken(cursor, query, first, end)
                for one, found in states.items():
                    ends = offer_ends(found, 0, lasting.get(one, 0), taken.get(one, 0))
                    counts[one] = ends[number.end]
            asked = AskedNumber(query, number, touched_after, counts)
            offers, place = select_offers_behind(cursor, self._keys, asked, behind, limit)
        return OfferPage(position, sum(counts.values()), offers, place)

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
        with self._snapshot() as (cursor, _):
            visitor = cursor.execute(_SELECT_TOKEN, (visitor_digest,)).fetchone()
            if visitor is None:
                return []
            low, high = stream_bounds(visitor["token"])
            parameters = {"low": low, "high": high, "behind": behind, "limit": limit, "now": now}
            rows = _select(cursor, _SELECT_OFFERS_OF_VISITOR, parameters)
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

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[Cursor[DictRow], int]]:
        """Open a transaction that sees one state of the projections; yields their position, too."""
        with read_transaction(self._datastore) as cursor:
            cursor.execute(ONE_SNAPSHOT)
            row = cursor.execute(_SELECT_POSITION).fetchone()
            assert row is not None  # noqa: S101 - an aggregate has one row
            limit_statements(cursor)
            yield cursor, int(row["position"] or 0)


def _select_taken(
    cursor: Cursor[DictRow], query: ReportQuery, first: int, end: int
) -> Mapping[ActionMapId, int]:
    """Select the number of acceptances after which nothing follows, by action map."""
    found: Counter[ActionMapId] = Counter()
    for media_type in ACCEPTED_IS_FINAL:
        if query.media_type in {None, media_type}:
            asked = replace(query, media_type=media_type)
            counted = select_counts(cursor, asked, first, end, [(first, 0)], most=None)
            for (action_map, _), counts in counted.items():
                found[action_map] += counts.states.get(State.ACCEPTED, 0)
    return found


def _slots(cursor: Cursor[DictRow], query: ReportQuery) -> tuple[int, int]:
    """Select the slots of a query's range in which anything may have been counted."""
    first, end = select_slots(cursor, query)
    first = first if query.start is None else max(first, slot(query.start))
    return first, end if query.end is None else min(end, slot(query.end))


def _parameters(query: ReportQuery, maps: Sequence[str] | None) -> dict[str, Any]:
    return {
        "organization": query.organization,
        "maps": maps,
        "start": query.start,
        "until": query.end,
        "media_type": query.media_type,
    }


def _select(
    cursor: Cursor[DictRow], statement: LiteralString, parameters: Mapping[str, Any]
) -> list[DictRow]:
    """Run a statement of a read with the time that is left."""
    limit_statements(cursor)
    return cursor.execute(statement, parameters).fetchall()
