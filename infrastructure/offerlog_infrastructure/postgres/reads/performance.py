"""The counts behind the Action Map Performance report."""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, LiteralString

from psycopg import Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.performance_counts import ReportQuery, RowCounts
from offerlog_application.projections.performance import Scope
from offerlog_application.projections.slots import DAY_SLOTS
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import LIFECYCLES, State
from offerlog_domain.metrics import METRICS, Cohort, CountBy
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import limit_statements, read_transaction

_FEWEST_DAYS: Final = 2
"""A bucket with fewer whole days than this is read from quarter-hours alone."""

_MAPS_AT_ONCE: Final = 1_000

ASKED: LiteralString = """
    (%(maps)s::uuid[] IS NULL OR action_map_id = ANY (%(maps)s))
    AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s)
"""
_SELECT_SLOTS: LiteralString = f"""
    SELECT coalesce(min(day) * 96, 0) AS first, coalesce((max(day) + 1) * 96, 0) AS end_slot
    FROM performance_days
    WHERE organization = %(organization)s AND cohort = %(cohort)s
      AND {ASKED}
"""
# A gap of more than `gap_days` days ends a span.
_SELECT_SPANS: LiteralString = f"""
    SELECT greatest(min(day) * 96, %(first)s) AS first, least((max(day) + 1) * 96, %(end)s) AS end_slot
    FROM (
        SELECT day, sum(apart::int) OVER (ORDER BY day) AS span FROM (
            SELECT day, day - lag(day, 1, day) OVER (ORDER BY day) > %(gap_days)s AS apart FROM (
                SELECT DISTINCT day FROM performance_days
                WHERE organization = %(organization)s AND cohort = %(cohort)s
                  AND (day + 1) * 96 > %(first)s AND day * 96 < %(end)s
                  AND {ASKED}
            ) AS occupied
        ) AS gaps
    ) AS spans GROUP BY span ORDER BY 1
"""
SUMS: LiteralString = """
    sum(offered), sum(accepted), sum(rejected), sum(started), sum(abandoned), sum(engaged),
    sum(ignored), sum(errored), sum(timedout), sum(qualified), sum(qualified_outside_schedule),
    sum(offered_outside_schedule), sum(frequency_cap_reached)
"""
"""The metrics, in the order of `METRICS`."""
# One bit for each of the `media_types`: a set of texts would have to be sorted.
_MEDIA_TYPES: LiteralString = (
    "coalesce(bit_or(1 << (array_position(%(media_types)s::text[], media_type) - 1)), 0)"
)
_SELECT_COUNTS: LiteralString = f"""
    SELECT action_map_id::text, (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])] AS bucket,
        {_MEDIA_TYPES}, {SUMS}
    FROM performance_counts
    WHERE organization = %(organization)s AND cohort = %(cohort)s AND slot >= %(first)s AND slot < %(end)s
      AND {ASKED}
    GROUP BY action_map_id, bucket LIMIT %(most)s
"""
# Whole days inside a bucket, and quarter-hours of the days at its ends. Bucket -1 means: not wanted here.
# (With NULL in its place, PostgreSQL would scan the array for every row.)
# OFFSET 0 makes PostgreSQL look up each map's quarter-hours; otherwise it reads all rows, and joins them.
PARTS_OF_DAYS: LiteralString = f"""
    WITH days AS MATERIALIZED (
        SELECT * FROM performance_days
        WHERE organization = %(organization)s AND cohort = %(cohort)s
          AND day >= %(first_day)s AND day < %(end_day)s
          AND {ASKED}
    ), parts AS (
        SELECT (%(day_numbers)s::int[])[width_bucket(day, %(day_edges)s::int[])] AS bucket, days.*
        FROM days
        UNION ALL
        SELECT (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])], counts.*
        FROM days CROSS JOIN LATERAL (
            SELECT * FROM performance_counts AS c
            WHERE c.organization = days.organization AND c.cohort = days.cohort
              AND c.action_map_id = days.action_map_id AND c.media_type = days.media_type
              AND c.action_map_version IS NOT DISTINCT FROM days.action_map_version
              AND c.slot >= days.day * 96 AND c.slot < days.day * 96 + 96
            OFFSET 0
        ) AS counts
        WHERE days.day = ANY (%(cut_days)s) AND slot >= %(first)s AND slot < %(end)s
    )
"""
_SELECT_COUNTS_BY_DAYS: LiteralString = f"""
    {PARTS_OF_DAYS}
    SELECT action_map_id::text, bucket, {_MEDIA_TYPES}, {SUMS} FROM parts WHERE bucket >= 0
    GROUP BY action_map_id, bucket LIMIT %(most)s
"""
TIMES_OF_REPEATS: LiteralString = f"""
    SELECT action_map_id, media_type, action_map_version, state, originator_id,
        unnest(CASE WHEN ordinal = 2 THEN ARRAY[again, once] ELSE ARRAY[again] END) AS slot
    FROM (
        SELECT *, CASE WHEN %(cohort)s = 'offered' THEN offered_slot ELSE slot END AS again,
            CASE WHEN %(cohort)s = 'offered' THEN first_offered_slot ELSE first_slot END AS once
        FROM performance_repeats
        WHERE organization = %(organization)s AND scope = %(scope)s AND {ASKED}
    ) AS repeats
"""
"""One row for each time that a visitor-offer with repeats was counted, with the slot of that time.

A row of the table has the slot of its repeat and that of the first time. So the row with ordinal 2 stands for
the first time as well.
"""

# Counts of a visitor-offer beyond the first in the same bucket.
_SELECT_SURPLUS: LiteralString = f"""
    SELECT action_map_id::text, bucket, state, sum(times - 1)::bigint
    FROM (
        SELECT action_map_id, state, originator_id, count(*) AS times,
            (%(numbers)s::int[])[width_bucket(slot, %(edges)s::int[])] AS bucket
        FROM ({TIMES_OF_REPEATS}) AS times WHERE slot >= %(first)s AND slot < %(end)s GROUP BY 1, 2, 3, 5
    ) AS counted
    WHERE times > 1 GROUP BY action_map_id, bucket, state
"""
_SELECT_NAMES: LiteralString = """
    SELECT action_map_id::text, substring(name FOR %s) AS name, named_at FROM action_map_names
    WHERE organization = %s AND action_map_id = ANY (%s::uuid[])
"""
_NAME_CHARACTERS: Final = 256
_NAME_BYTES: Final = 4 * _NAME_CHARACTERS
"""New names are at most this long. Names in older stores may be longer, and are cut here."""

_SELECT_MAPS_NAMED: LiteralString = """
    SELECT action_map_id::text FROM action_map_names
    WHERE organization = %s AND substring(name FOR 1024) = %s ORDER BY action_map_id LIMIT 10
"""

# The maps of an organization, one index step for each, without reading all rows of each map.
_SELECT_MAPS: LiteralString = """
    WITH RECURSIVE maps AS (
        (
            SELECT action_map_id FROM performance_days
            WHERE organization = %(organization)s AND cohort = 'event' AND action_map_id > %(behind)s::uuid
            ORDER BY action_map_id LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT action_map_id FROM performance_days
            WHERE organization = %(organization)s AND cohort = 'event'
                AND action_map_id > maps.action_map_id
            ORDER BY action_map_id LIMIT 1
        )
        FROM maps WHERE maps.action_map_id IS NOT NULL
    )
    SELECT action_map_id::text FROM maps WHERE action_map_id IS NOT NULL LIMIT %(limit)s
"""
_BEFORE_ALL: Final = "00000000-0000-0000-0000-000000000000"


class PostgresPerformance:
    """The application's `PerformanceCounts`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """Return the first slot of the first day with counts and the end of the last; (0, 0) without any."""
        with read_transaction(self._datastore) as cursor:
            return select_slots(cursor, query)

    def spans(self, query: ReportQuery, first: int, end: int, gap_days: int) -> Sequence[tuple[int, int]]:
        """Return the parts of [first, end) with counts, ascending, divided by gaps of over `gap_days`."""
        parameters = parameters_of(query) | {"first": first, "end": end, "gap_days": gap_days}
        with read_transaction(self._datastore) as cursor:
            return [(row["first"], row["end_slot"]) for row in cursor.execute(_SELECT_SPANS, parameters)]

    def counts(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        stretches: Sequence[tuple[int, int]],
        most: int | None,
    ) -> Mapping[tuple[ActionMapId, int], RowCounts]:
        """Return the counts of [first, end) by map and bucket number; at most `most` of them and one more."""
        with read_transaction(self._datastore) as cursor:
            # One snapshot for both statements, so that both see the same pages.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return select_counts(cursor, query, first, end, stretches, most=most)

    def names(self, organization: str, action_maps: Sequence[ActionMapId]) -> Mapping[ActionMapId, str]:
        """Return the newest known display names of these maps, each cut at 256 characters."""
        return {one: name for one, (_, name) in self.dated_names(organization, action_maps).items()}

    def dated_names(
        self, organization: str, action_maps: Sequence[ActionMapId]
    ) -> Mapping[ActionMapId, tuple[datetime, str]]:
        """Return the same names, each with the time of the signal that had it."""
        with read_transaction(self._datastore) as cursor:
            rows = cursor.execute(_SELECT_NAMES, (_NAME_BYTES, organization, list(action_maps)))
            return {row["action_map_id"]: (row["named_at"], decode_name(bytes(row["name"]))) for row in rows}

    def maps_named(self, organization: str, name: str) -> Sequence[ActionMapId]:
        """Return the maps with this newest known name, sorted by id; at most ten of them."""
        with read_transaction(self._datastore) as cursor:
            rows = cursor.execute(_SELECT_MAPS_NAMED, (organization, name.encode("utf-8", "surrogatepass")))
            return [ActionMapId(row["action_map_id"]) for row in rows]

    def action_maps(
        self, organization: str, behind: ActionMapId | None = None
    ) -> Generator[tuple[ActionMapId, str | None]]:
        """Stream the maps with counts, by id, with their newest known names."""
        while True:
            parameters = {
                "organization": organization,
                "behind": behind or _BEFORE_ALL,
                "limit": _MAPS_AT_ONCE,
            }
            with read_transaction(self._datastore) as cursor:
                found = [row["action_map_id"] for row in cursor.execute(_SELECT_MAPS, parameters)]
            names = self.names(organization, found)
            yield from ((one, names.get(one)) for one in found)
            if len(found) < _MAPS_AT_ONCE:
                return
            behind = found[-1]


def select_slots(cursor: Cursor[DictRow], query: ReportQuery) -> tuple[int, int]:
    """Select the first slot of the first day with counts and the end of the last; (0, 0) without any."""
    row = cursor.execute(_SELECT_SLOTS, parameters_of(query)).fetchone()
    return (row["first"], row["end_slot"]) if row else (0, 0)


def select_counts(
    cursor: Cursor[DictRow],
    query: ReportQuery,
    first: int,
    end: int,
    stretches: Sequence[tuple[int, int]],
    *,
    most: int | None,
) -> Mapping[tuple[ActionMapId, int], RowCounts]:
    """Select the counts of [first, end) by map and bucket number, in the snapshot of a transaction.

    At most `most` of them are selected, and one more.
    """
    parameters = parameters_of(query) | split_into_days_and_slots(first, end, stretches)
    parameters["most"] = None if most is None else most + 1
    statement = _SELECT_COUNTS_BY_DAYS if parameters["day_edges"] else _SELECT_COUNTS
    with cursor.connection.cursor(row_factory=tuple_row) as rows:
        media_types: dict[tuple[ActionMapId, int], int] = {}
        found: dict[tuple[ActionMapId, int], dict[State, int]] = {}
        for action_map, bucket, bits, *sums in rows.execute(statement, parameters):
            media_types[action_map, bucket] = bits
            found[action_map, bucket] = dict(zip(METRICS, sums, strict=True))
        if query.count_by is CountBy.VISITORS and (most is None or len(found) <= most):
            limit_statements(rows)
            for action_map, bucket, state, surplus in rows.execute(_SELECT_SURPLUS, parameters):
                found[action_map, bucket][State(state)] -= surplus
    return {row: RowCounts(counts, _list_media_types(media_types[row])) for row, counts in found.items()}


@cache
def _list_media_types(bits: int) -> Sequence[str]:
    return [one for place, one in enumerate(LIFECYCLES) if bits >> place & 1]


def decode_name(stored: bytes) -> str:
    """Decode a name; a cut may have split its last character, which is dropped."""
    return stored.decode(errors="ignore")[:_NAME_CHARACTERS]


def parameters_of(query: ReportQuery) -> dict[str, Any]:
    """Return what `ASKED` and the statements around it need to know of a query."""
    return {
        "organization": query.organization,
        "cohort": Cohort(query.cohort).value,
        "maps": list(query.action_maps) or None,
        "media_type": query.media_type,
        "media_types": list(LIFECYCLES),
        "scope": int(Scope.ALL if query.media_type is None else Scope.MEDIA_TYPE),
    }


def split_into_days_and_slots(first: int, end: int, stretches: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return where buckets begin, in slots; the days of UTC wholly in one bucket; and the other days."""
    starts = [start for start, _ in stretches]
    day_edges: list[int] = []
    day_numbers: list[int] = []
    cut_days: set[int] = set()
    for (start, number), stop in zip(stretches, (*starts[1:], end), strict=True):
        transaction, behind = -(-start // DAY_SLOTS), stop // DAY_SLOTS
        if behind - transaction >= _FEWEST_DAYS:
            day_edges += [transaction, behind]
            day_numbers += [number, -1]
            cut_days.update(range(start // DAY_SLOTS, transaction), range(behind, -(-stop // DAY_SLOTS)))
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
