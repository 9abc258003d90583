"""The counts behind the Action Map Performance report."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg.rows import tuple_row

from offerlog_application.instants import DAY_SLOTS
from offerlog_application.reports import ReportQuery
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy
from offerlog_infrastructure.postgres.application import OfferlogApplication
from offerlog_infrastructure.postgres.log import store_reached

_FEWEST_DAYS: Final = 2
"""A bucket with fewer whole days than this is read by quarter-hours throughout."""

_SLOTS: LiteralString = """
    SELECT coalesce(min(day) * 96, 0) AS first, coalesce((max(day) + 1) * 96, 0) AS end_slot
    FROM performance_days
    WHERE organization = %(organization)s AND cohort = %(cohort)s
      AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
"""
# Gaps of more than a year part two spans.
_SPANS: LiteralString = """
    SELECT greatest(min(day) * 96, %(first)s) AS first, least((max(day) + 1) * 96, %(end)s) AS end_slot
    FROM (
        SELECT day, sum(apart::int) OVER (ORDER BY day) AS span FROM (
            SELECT day, day - lag(day, 1, day) OVER (ORDER BY day) > 366 AS apart FROM (
                SELECT DISTINCT day FROM performance_days
                WHERE organization = %(organization)s AND cohort = %(cohort)s
                  AND (day + 1) * 96 > %(first)s AND day * 96 < %(end)s
                  AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
            ) AS occupied
        ) AS gaps
    ) AS spans GROUP BY span ORDER BY 1
"""
_SUMS: LiteralString = """
    sum(offered), sum(accepted), sum(rejected), sum(started), sum(abandoned), sum(engaged),
    sum(ignored), sum(errored), sum(timedout)
"""
"""In the order of `METRICS`."""
_COUNTS: LiteralString = f"""
    SELECT action_map_id::text, (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])] AS bucket, {_SUMS}
    FROM performance_counts
    WHERE organization = %(organization)s AND cohort = %(cohort)s AND slot >= %(first)s AND slot < %(end)s
      AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
    GROUP BY action_map_id, bucket
"""
# Whole days where a bucket holds them, quarter-hours of the days at its ends; bucket NULL: of no use here.
_COUNTS_BY_DAYS: LiteralString = f"""
    WITH days AS MATERIALIZED (
        SELECT * FROM performance_days
        WHERE organization = %(organization)s AND cohort = %(cohort)s
          AND day >= %(first_day)s AND day < %(end_day)s
          AND (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
    ), parts AS (
        SELECT (%(day_numbers)s::int[])[width_bucket(day, %(day_edges)s::int[])] AS bucket, days.*
        FROM days
        UNION ALL
        SELECT (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])], counts.*
        FROM days CROSS JOIN LATERAL (
            SELECT * FROM performance_counts AS c
            WHERE c.organization = days.organization AND c.cohort = days.cohort
              AND c.action_map_id = days.action_map_id
              AND c.slot >= days.day * 96 AND c.slot < days.day * 96 + 96
        ) AS counts
        WHERE days.day = ANY (%(cut_days)s) AND slot >= %(first)s AND slot < %(end)s
    )
    SELECT action_map_id::text, bucket, {_SUMS} FROM parts WHERE bucket IS NOT NULL
    GROUP BY action_map_id, bucket
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
    SELECT action_map_id::text, bucket, state, sum(times - 1)::bigint
    FROM (
        SELECT action_map_id, state, originator_id, count(*) AS times,
            (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])] AS bucket
        FROM times WHERE slot >= %(first)s AND slot < %(end)s GROUP BY 1, 2, 3, 5
    ) AS counted
    WHERE times > 1 GROUP BY action_map_id, bucket, state
"""
_NAMES: LiteralString = "SELECT action_map_id, name FROM action_map_names WHERE organization = %s"


class PostgresPerformance:
    """The application's `PerformanceCounts`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading

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
        asked = _asked(query) | _cut(first, end, stretches)
        statement = _COUNTS_BY_DAYS if asked["day_edges"] else _COUNTS
        with (
            store_reached(),
            self._datastore.transaction() as whole,
            whole.connection.cursor(row_factory=tuple_row) as cursor,
        ):
            # One snapshot for both, so that a page applied in between cannot come apart.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = {
                (action_map, bucket): dict(zip(METRICS, sums, strict=True))
                for action_map, bucket, *sums in cursor.execute(statement, asked)
            }
            if query.count_by is CountBy.VISITORS:
                for action_map, bucket, state, surplus in cursor.execute(_SURPLUS, asked):
                    found[action_map, bucket][State(state)] -= surplus
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


def _cut(first: int, end: int, stretches: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Where buckets begin, in slots; the days of UTC that lie whole in one bucket; and those that do not."""
    starts = [start for start, _ in stretches]
    day_edges: list[int] = []
    day_numbers: list[int | None] = []
    cut_days: set[int] = set()
    for (start, number), stop in zip(stretches, (*starts[1:], end), strict=True):
        whole, behind = -(-start // DAY_SLOTS), stop // DAY_SLOTS
        if behind - whole >= _FEWEST_DAYS:
            day_edges += [whole, behind]
            day_numbers += [number, None]
            cut_days.update(range(start // DAY_SLOTS, whole), range(behind, -(-stop // DAY_SLOTS)))
        else:
            cut_days.update(range(start // DAY_SLOTS, -(-stop // DAY_SLOTS)))
    return {
        "first": first,
        "end": end,
        "edges": starts,
        "numbers": [number for _, number in stretches],
        "first_day": first // DAY_SLOTS,
        "end_day": -(-end // DAY_SLOTS),
        "day_edges": day_edges,
        "day_numbers": day_numbers,
        "cut_days": sorted(cut_days),
    }
