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
    " errored int4, timedout int4, qualified int4, qualified_outside_schedule int4,"
    " offered_outside_schedule int4, frequency_cap_reached int4"
)
_KIND: LiteralString = "media_type text, action_map_version int8"
_COUNTS: LiteralString = f"organization text, cohort text, action_map_id uuid, slot int4, {_KIND}, {_METRICS}"
_DAYS: LiteralString = f"organization text, cohort text, action_map_id uuid, day int4, {_KIND}, {_METRICS}"
_REPEATS: LiteralString = (
    f"originator_id uuid, state text, scope int2, {_KIND}, ordinal int4, organization text,"
    " action_map_id uuid, slot int4, first_slot int4, offered_slot int4, first_offered_slot int4"
)
_NAMES: LiteralString = (
    "organization text, action_map_id uuid, name bytea, named_at timestamptz, position int8"
)

_FORMS: LiteralString = "organization text, action_map_id uuid, slot int4, media_type text, rejections int4"
_BLOCKED: LiteralString = (
    "originator_id uuid, event_version int4, organization text, action_map_id uuid, slot int4, reason text,"
    " media_type text"
)
_BLOCKED_COUNTS: LiteralString = (
    f"organization text, action_map_id uuid, slot int4, reason text, {_KIND}, blocked int8"
)


def _counted(counts: Mapping[Any, Mapping[State, int]]) -> Rows:
    return [
        (organization, cohort, action_map.bytes, *rest, *[counted.get(state, 0) for state in METRICS])
        for (organization, cohort, action_map, *rest), counted in counts.items()
    ]


def _repeats(change: PerformanceChange) -> Rows:
    return [
        (
            stream.bytes,
            state,
            int(scope),
            media_type,
            version,
            ordinal,
            organization,
            action_map.bytes,
            *slots,
        )
        for stream, state, scope, media_type, version, ordinal, organization, action_map, *slots in (
            change.repeats
        )
    ]


def _names(change: PerformanceChange) -> Rows:
    return [
        (organization, action_map.bytes, *row) for (organization, action_map), row in change.names.items()
    ]


def _forms(change: PerformanceChange) -> Rows:
    return [
        (organization, action_map.bytes, slot, media_type, count)
        for (organization, action_map, slot, media_type), count in change.form_rejections.items()
    ]


def _blocked(change: PerformanceChange) -> Rows:
    return [
        (stream.bytes, version, organization, action_map.bytes, *rest)
        for stream, version, organization, action_map, *rest in change.blocked
    ]


def _blocked_counts(change: PerformanceChange) -> Rows:
    return [
        (organization, action_map.bytes, *rest, number)
        for (organization, action_map, *rest), number in change.blocked_counts.items()
    ]


_ADDED: LiteralString = """
    offered = c.offered + excluded.offered, accepted = c.accepted + excluded.accepted,
    rejected = c.rejected + excluded.rejected, started = c.started + excluded.started,
    abandoned = c.abandoned + excluded.abandoned, engaged = c.engaged + excluded.engaged,
    ignored = c.ignored + excluded.ignored, errored = c.errored + excluded.errored,
    timedout = c.timedout + excluded.timedout, qualified = c.qualified + excluded.qualified,
    qualified_outside_schedule = c.qualified_outside_schedule + excluded.qualified_outside_schedule,
    offered_outside_schedule = c.offered_outside_schedule + excluded.offered_outside_schedule,
    frequency_cap_reached = c.frequency_cap_reached + excluded.frequency_cap_reached
"""
_SUMS: LiteralString = (
    "sum(offered), sum(accepted), sum(rejected), sum(started), sum(abandoned), sum(engaged), sum(ignored),"
    " sum(errored), sum(timedout), sum(qualified), sum(qualified_outside_schedule),"
    " sum(offered_outside_schedule), sum(frequency_cap_reached)"
)
PERFORMANCE: Final = Projection(
    "performance",
    (
        "performance_counts",
        "performance_days",
        "performance_repeats",
        "action_map_names",
        "form_rejections",
        "blocked_offers",
        "blocked_counts",
    ),
    performance,
    (
        Merge(
            "stage_counts",
            _COUNTS,
            f"""
            INSERT INTO performance_counts AS c ({names_of(_COUNTS)}) SELECT * FROM stage_counts
            ON CONFLICT (organization, cohort, action_map_id, slot, media_type, action_map_version)
            DO UPDATE SET {_ADDED}
            """,
            lambda change: _counted(change.counts),
        ),
        Merge(
            "stage_days",
            _DAYS,
            f"""
            INSERT INTO performance_days AS c ({names_of(_DAYS)}) SELECT * FROM stage_days
            ON CONFLICT (organization, cohort, action_map_id, day, media_type, action_map_version)
            DO UPDATE SET {_ADDED}
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
        Merge(
            "stage_forms",
            _FORMS,
            f"""
            INSERT INTO form_rejections AS f ({names_of(_FORMS)}) SELECT * FROM stage_forms
            ON CONFLICT (organization, action_map_id, slot, media_type) DO UPDATE SET
                rejections = f.rejections + excluded.rejections
            """,
            _forms,
        ),
        Merge(
            "stage_blocked",
            _BLOCKED,
            f"INSERT INTO blocked_offers ({names_of(_BLOCKED)}) SELECT * FROM stage_blocked",
            _blocked,
        ),
        Merge(
            "stage_blocked_counts",
            _BLOCKED_COUNTS,
            f"""
            INSERT INTO blocked_counts AS b ({names_of(_BLOCKED_COUNTS)}) SELECT * FROM stage_blocked_counts
            ON CONFLICT (organization, slot, action_map_id, reason, media_type, action_map_version)
            DO UPDATE SET blocked = b.blocked + excluded.blocked
            """,
            _blocked_counts,
        ),
    ),
    (
        Load("performance_counts", _COUNTS, lambda change: _counted(change.counts), 6),
        Load("performance_repeats", _REPEATS, _repeats),
        Load("action_map_names", _NAMES, _names),
        Load("form_rejections", _FORMS, _forms, 4),
        Load("blocked_offers", _BLOCKED, _blocked),
        Load("blocked_counts", _BLOCKED_COUNTS, _blocked_counts, 6),
    ),
    # Each slice has loaded its own part of every count and its own newest names: add them up.
    f"""
    WITH parts AS (DELETE FROM performance_counts RETURNING *)
    INSERT INTO performance_counts ({names_of(_COUNTS)})
    SELECT organization, cohort, action_map_id, slot, media_type, action_map_version, {_SUMS} FROM parts
    GROUP BY 1, 2, 3, 4, 5, 6;
    INSERT INTO performance_days ({names_of(_DAYS)})
    SELECT organization, cohort, action_map_id, floor(slot / 96.0), media_type, action_map_version, {_SUMS}
    FROM performance_counts GROUP BY 1, 2, 3, 4, 5, 6;
    WITH parts AS (DELETE FROM form_rejections RETURNING *)
    INSERT INTO form_rejections ({names_of(_FORMS)})
    SELECT organization, action_map_id, slot, media_type, sum(rejections) FROM parts GROUP BY 1, 2, 3, 4;
    WITH parts AS (DELETE FROM blocked_counts RETURNING *)
    INSERT INTO blocked_counts ({names_of(_BLOCKED_COUNTS)})
    SELECT organization, action_map_id, slot, reason, media_type, action_map_version, sum(blocked) FROM parts
    GROUP BY 1, 2, 3, 4, 5, 6;
    WITH parts AS (DELETE FROM action_map_names RETURNING *)
    INSERT INTO action_map_names ({names_of(_NAMES)})
    SELECT DISTINCT ON (organization, action_map_id) {names_of(_NAMES)} FROM parts
    ORDER BY organization, action_map_id, named_at DESC, name DESC, position;
    """,
)
