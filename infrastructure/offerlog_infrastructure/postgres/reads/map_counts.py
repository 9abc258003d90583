"""Counts by action map, media type and version, for the action maps report."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final, LiteralString

from psycopg import Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.offer_reads import MapVersion
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.projections.performance import Scope
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, CountBy
from offerlog_infrastructure.postgres.reads.performance import (
    ASKED,
    PARTS_OF_DAYS,
    SUMS,
    TIMES_OF_REPEATS,
    parameters_of,
    split_into_days_and_slots,
)
from offerlog_infrastructure.postgres.reads.read_transaction import limit_statements

_FROM_SLOTS: LiteralString = f"""
    FROM performance_counts
    WHERE organization = %(organization)s AND cohort = %(cohort)s AND slot >= %(first)s AND slot < %(end)s
      AND {ASKED}
"""


def _count_by(groups: LiteralString) -> tuple[LiteralString, LiteralString]:
    """Return two statements that count by these columns: from quarter-hours alone, and by days too."""
    select: LiteralString = f"SELECT {groups}, {SUMS}"
    group: LiteralString = f"GROUP BY {groups} LIMIT %(most)s"
    return f"{select} {_FROM_SLOTS} {group}", f"{PARTS_OF_DAYS} {select} FROM parts WHERE bucket >= 0 {group}"


_SELECT_BY_TYPE: Final = _count_by("action_map_id, media_type")
_SELECT_BY_VERSION: Final = _count_by("action_map_id, media_type, action_map_version")

# Counts of a visitor-offer beyond the first in the range. A row for a media type keeps a version that says
# nothing.
_SELECT_SURPLUS: LiteralString = f"""
    SELECT action_map_id::text, media_type, version, state, sum(times - 1)::bigint
    FROM (
        SELECT action_map_id, media_type, CASE WHEN %(by_version)s THEN action_map_version END AS version,
            state, originator_id, count(*) AS times
        FROM ({TIMES_OF_REPEATS}) AS times WHERE slot >= %(first)s AND slot < %(end)s GROUP BY 1, 2, 3, 4, 5
    ) AS counted
    WHERE times > 1 GROUP BY 1, 2, 3, 4
"""


# The cohorts have the same media types.
_SELECT_MEDIA_TYPES: LiteralString = """
    SELECT DISTINCT action_map_id::text, media_type FROM performance_days
    WHERE organization = %s AND cohort = 'event' AND action_map_id = ANY (%s::uuid[])
"""


def select_map_counts(
    cursor: Cursor[DictRow], query: ReportQuery, first: int, end: int, most: int, *, by_version: bool
) -> Mapping[MapVersion, Mapping[State, int]]:
    """Select the counts of [first, end) by map and media type, or also by version, in one snapshot.

    At most `most` groups are selected, and one more.
    """
    parameters = parameters_of(query) | split_into_days_and_slots(first, end, [(first, 0)])
    parameters |= {
        "most": most + 1,
        "by_version": by_version,
        "scope": int(Scope.VERSION if by_version else Scope.MEDIA_TYPE),
    }
    from_slots, from_days = _SELECT_BY_VERSION if by_version else _SELECT_BY_TYPE
    found: dict[MapVersion, dict[State, int]] = {}
    with cursor.connection.cursor(row_factory=tuple_row) as rows:
        for action_map, media_type, *counts in rows.execute(
            from_days if parameters["day_edges"] else from_slots, parameters
        ):
            version = counts.pop(0) if by_version else None
            group = MapVersion(ActionMapId(str(action_map)), media_type, version)
            found[group] = dict(zip(METRICS, counts, strict=True))
        if query.count_by is CountBy.VISITORS and len(found) <= most:
            limit_statements(rows)
            for action_map, media_type, version, state, surplus in rows.execute(_SELECT_SURPLUS, parameters):
                found[MapVersion(action_map, media_type, version)][State(state)] -= surplus
    return found


def select_media_types(
    cursor: Cursor[DictRow], query: ReportQuery, action_maps: Sequence[ActionMapId]
) -> Mapping[ActionMapId, Collection[str]]:
    """Select the media types that the actions of these maps had at any time, whatever range is asked for."""
    found: defaultdict[ActionMapId, set[str]] = defaultdict(set)
    if action_maps:
        limit_statements(cursor)
        for row in cursor.execute(_SELECT_MEDIA_TYPES, (query.organization, list(action_maps))):
            found[row["action_map_id"]].add(row["media_type"])
    return found
