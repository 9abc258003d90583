"""The counts behind the Action Map Performance report."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from offerlog_application.reports import ReportQuery
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy
from offerlog_infrastructure.postgres.application import OfferlogApplication
from offerlog_infrastructure.postgres.log import store_reached

_SLOTS: LiteralString = """
    SELECT coalesce(min(slot), 0) AS first, coalesce(max(slot) + 1, 0) AS end_slot FROM performance_counts
    WHERE organization = %(organization)s AND cohort = %(cohort)s
      AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
"""
# Gaps of more than a year part two spans.
_SPANS: LiteralString = """
    SELECT min(slot) AS first, max(slot) + 1 AS end_slot FROM (
        SELECT slot, sum(apart::int) OVER (ORDER BY slot) AS span FROM (
            SELECT slot, slot - lag(slot, 1, slot) OVER (ORDER BY slot) > 366 * 96 AS apart FROM (
                SELECT DISTINCT slot FROM performance_counts
                WHERE organization = %(organization)s AND cohort = %(cohort)s
                  AND slot >= %(first)s AND slot < %(end)s
                  AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
            ) AS occupied
        ) AS gaps
    ) AS spans GROUP BY span ORDER BY 1
"""
_COUNTS: LiteralString = """
    SELECT action_map_id, (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])] AS bucket,
        sum(offered) AS offered, sum(accepted) AS accepted, sum(rejected) AS rejected,
        sum(started) AS started, sum(abandoned) AS abandoned, sum(engaged) AS engaged,
        sum(ignored) AS ignored, sum(errored) AS errored, sum(timedout) AS timedout
    FROM performance_counts
    WHERE organization = %(organization)s AND cohort = %(cohort)s AND slot >= %(first)s AND slot < %(end)s
      AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
    GROUP BY 1, 2
"""
# What a visitor-offer counts beyond once in the same bucket. Every repeat carries its own slot and the
# first one's, so the second row of a visitor-offer stands for the first time too.
_SURPLUS: LiteralString = """
    WITH times AS (
        SELECT action_map_id, state, originator_id,
            unnest(CASE WHEN ordinal = 2 THEN ARRAY[again, once] ELSE ARRAY[again] END) AS slot
        FROM (
            SELECT *, CASE WHEN %(cohort)s = 'offered' THEN offered_slot ELSE slot END AS again,
                CASE WHEN %(cohort)s = 'offered' THEN first_offered_slot ELSE first_slot END AS once
            FROM performance_repeats
            WHERE organization = %(organization)s
              AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
        ) AS repeats
    )
    SELECT action_map_id, bucket, state, sum(times - 1) AS surplus
    FROM (
        SELECT action_map_id, state, originator_id, count(*) AS times,
            (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])] AS bucket
        FROM times WHERE slot >= %(first)s AND slot < %(end)s GROUP BY 1, 2, 3, 5
    ) AS counted
    WHERE times > 1 GROUP BY 1, 2, 3
"""
_NAMES: LiteralString = "SELECT action_map_id, name FROM action_map_names WHERE organization = %s"


class PostgresPerformance:
    """The application's `PerformanceCounts`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.log.datastore

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """The first slot with anything in it and the one behind the last; (0, 0) where there is none."""
        with store_reached(), self._datastore.cursor() as cursor:
            row = cursor.execute(_SLOTS, _asked(query)).fetchone()
            return (row["first"], row["end_slot"]) if row else (0, 0)

    def spans(self, query: ReportQuery, first: int, end: int) -> Sequence[tuple[int, int]]:
        """The parts of [first, end) with anything in them, ascending; years without anything lie between."""
        asked = _asked(query) | {"first": first, "end": end}
        with store_reached(), self._datastore.cursor() as cursor:
            return [(row["first"], row["end_slot"]) for row in cursor.execute(_SPANS, asked)]

    def counts(
        self, query: ReportQuery, first: int, end: int, stretches: Sequence[tuple[int, int]]
    ) -> Mapping[tuple[str, int], Mapping[State, int]]:
        """Counts of [first, end) by map and bucket number."""
        asked = _asked(query) | {
            "first": first,
            "end": end,
            "edges": [start for start, _ in stretches],
            "numbers": [number for _, number in stretches],
        }
        with store_reached(), self._datastore.transaction() as cursor:
            # One snapshot for both, so that a page applied in between cannot come apart.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = {
                (str(row["action_map_id"]), row["bucket"]): {
                    state: int(row[state.value]) for state in METRICS
                }
                for row in cursor.execute(_COUNTS, asked)
            }
            if query.count_by is CountBy.VISITORS:
                for row in cursor.execute(_SURPLUS, asked):
                    counts = found[str(row["action_map_id"]), row["bucket"]]
                    counts[State(row["state"])] -= int(row["surplus"])
        return found

    def names(self, organization: str) -> Mapping[str, str]:
        """The newest known display name of every map."""
        with store_reached(), self._datastore.cursor() as cursor:
            rows = cursor.execute(_NAMES, (organization,))
            return {str(row["action_map_id"]): bytes(row["name"]).decode() for row in rows}


def _asked(query: ReportQuery) -> dict[str, Any]:
    return {
        "organization": query.organization,
        "cohort": Cohort(query.cohort).value,
        "maps": list(query.action_maps) or None,
    }
