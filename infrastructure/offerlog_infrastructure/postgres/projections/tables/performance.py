"""The tables behind the Action Map Performance report."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from offerlog_application.projections.performance import PerformanceChange, performance
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS
from offerlog_infrastructure.postgres.projections.tables.table import (
    Load,
    Merge,
    Projection,
    Rows,
    names_of,
)

_METRICS: LiteralString = (
    "offered int4, accepted int4, rejected int4, started int4, abandoned int4, engaged int4, ignored int4,"
    " errored int4, timedout int4"
)
_COUNTS: LiteralString = f"organization text, cohort text, action_map_id uuid, slot int4, {_METRICS}"
_DAYS: LiteralString = f"organization text, cohort text, action_map_id uuid, day int4, {_METRICS}"
_REPEATS: LiteralString = (
    "originator_id uuid, state text, ordinal int4, organization text, action_map_id uuid, slot int4,"
    " first_slot int4, offered_slot int4, first_offered_slot int4"
)
_NAMES: LiteralString = (
    "organization text, action_map_id uuid, name bytea, named_at timestamptz, position int8"
)


def _counted(counts: Mapping[Any, Mapping[State, int]]) -> Rows:
    return [
        (organization, cohort, action_map.bytes, time, *[counted.get(state, 0) for state in METRICS])
        for (organization, cohort, action_map, time), counted in counts.items()
    ]


def _repeats(change: PerformanceChange) -> Rows:
    return [
        (stream.bytes, state, ordinal, organization, action_map.bytes, *slots)
        for stream, state, ordinal, organization, action_map, *slots in change.repeats
    ]


def _names(change: PerformanceChange) -> Rows:
    return [
        (organization, action_map.bytes, *row) for (organization, action_map), row in change.names.items()
    ]


_ADDED: LiteralString = """
    offered = c.offered + excluded.offered, accepted = c.accepted + excluded.accepted,
    rejected = c.rejected + excluded.rejected, started = c.started + excluded.started,
    abandoned = c.abandoned + excluded.abandoned, engaged = c.engaged + excluded.engaged,
    ignored = c.ignored + excluded.ignored, errored = c.errored + excluded.errored,
    timedout = c.timedout + excluded.timedout
"""
_SUMS: LiteralString = (
    "sum(offered), sum(accepted), sum(rejected), sum(started), sum(abandoned), sum(engaged), sum(ignored),"
    " sum(errored), sum(timedout)"
)
PERFORMANCE: Final = Projection(
    "performance",
    ("performance_counts", "performance_days", "performance_repeats", "action_map_names"),
    performance,
    (
        Merge(
            "stage_counts",
            _COUNTS,
            f"""
            INSERT INTO performance_counts AS c ({names_of(_COUNTS)}) SELECT * FROM stage_counts
            ON CONFLICT (organization, cohort, action_map_id, slot) DO UPDATE SET {_ADDED}
            """,
            lambda change: _counted(change.counts),
        ),
        Merge(
            "stage_days",
            _DAYS,
            f"""
            INSERT INTO performance_days AS c ({names_of(_DAYS)}) SELECT * FROM stage_days
            ON CONFLICT (organization, cohort, action_map_id, day) DO UPDATE SET {_ADDED}
            """,
            lambda change: _counted(change.days),
        ),
        Merge(
            "stage_repeats",
            _REPEATS,
            f"INSERT INTO performance_repeats ({names_of(_REPEATS)}) SELECT * FROM stage_repeats",
            _repeats,
        ),
        Merge(
            "stage_names",
            _NAMES,
            f"""
            INSERT INTO action_map_names AS n ({names_of(_NAMES)}) SELECT * FROM stage_names
            ON CONFLICT (organization, action_map_id) DO UPDATE SET
                name = excluded.name, named_at = excluded.named_at, position = excluded.position
            WHERE (n.named_at, n.name, -n.position) < (excluded.named_at, excluded.name, -excluded.position)
            """,
            _names,
        ),
    ),
    (
        Load("performance_counts", _COUNTS, lambda change: _counted(change.counts)),
        Load("performance_repeats", _REPEATS, _repeats),
        Load("action_map_names", _NAMES, _names),
    ),
    # Each slice has loaded its own part of every count and its own newest names: add them up.
    f"""
    WITH parts AS (DELETE FROM performance_counts RETURNING *)
    INSERT INTO performance_counts ({names_of(_COUNTS)})
    SELECT organization, cohort, action_map_id, slot, {_SUMS} FROM parts GROUP BY 1, 2, 3, 4;
    INSERT INTO performance_days ({names_of(_DAYS)})
    SELECT organization, cohort, action_map_id, floor(slot / 96.0), {_SUMS} FROM performance_counts
    GROUP BY 1, 2, 3, 4;
    WITH parts AS (DELETE FROM action_map_names RETURNING *)
    INSERT INTO action_map_names ({names_of(_NAMES)})
    SELECT DISTINCT ON (organization, action_map_id) {names_of(_NAMES)} FROM parts
    ORDER BY organization, action_map_id, named_at DESC, name DESC, position;
    """,
)
