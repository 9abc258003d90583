"""The comparisons that prove a conversion: old events with rewritten ones, old counts with new ones."""

from typing import Any, LiteralString

from psycopg import Cursor

from offerlog_infrastructure.postgres.conversion.errors import (
    ConvertedCountsDifferError,
    RewrittenLogDiffersError,
)

_SELECT_SUMS: LiteralString = """
    SELECT count(*), coalesce(sum(notification_id), 0)::text,
        coalesce(sum(notification_id::numeric * notification_id), 0)::text FROM {}
"""
_SELECT_STREAMS: LiteralString = """
    SELECT count(*), count(DISTINCT old_stream), count(DISTINCT new_stream), coalesce(bool_and(same), true)
    FROM (
        SELECT old.originator_id AS old_stream, new.originator_id AS new_stream,
            bool_and(old.originator_version = new.originator_version) AS same
        FROM first_events old JOIN offerlog_events new USING (notification_id) GROUP BY 1, 2
    ) AS pairs
"""
"""The pairs of an old and a new stream that share a position. Each stream must be in one pair alone."""

_SELECT_WITHOUT_FIRST: LiteralString = """
    SELECT notification_id, originator_id::text FROM first_events old WHERE NOT EXISTS (
        SELECT FROM first_events f WHERE f.originator_id = old.originator_id AND f.originator_version = 1
    ) ORDER BY 1 LIMIT 1
"""
_SUMS: LiteralString = """
    SELECT organization, action_map_id, cohort, slot, sum(offered), sum(accepted), sum(rejected),
        sum(started), sum(abandoned), sum(engaged), sum(ignored), sum(errored), sum(timedout)
"""
_SELECT_COUNT_DIFFERENCES: LiteralString = f"""
    WITH before AS ({_SUMS} FROM first_counts GROUP BY 1, 2, 3, 4),
        now AS ({_SUMS} FROM performance_counts GROUP BY 1, 2, 3, 4)
    (SELECT 'before' AS side, x::text FROM (TABLE before EXCEPT TABLE now) AS x LIMIT 3)
    UNION ALL
    (SELECT 'now' AS side, x::text FROM (TABLE now EXCEPT TABLE before) AS x LIMIT 3)
"""
"""The old format has one row where the new one has a row for each version of the map."""


def check_rewritten_events(cursor: Cursor[tuple[Any, ...]]) -> None:
    """Check that each old event was rewritten once: same position, same version, streams one for one.

    Raises:
        RewrittenLogDiffersError: They differ.
    """
    without_first = cursor.execute(_SELECT_WITHOUT_FIRST).fetchone()
    if without_first is not None:
        position, stream = without_first
        raise RewrittenLogDiffersError(f"the old stream {stream} of position {position} has no first event")
    old, new = (
        cursor.execute(_SELECT_SUMS.format(table)).fetchone() for table in ("first_events", "offerlog_events")
    )
    if old != new:
        raise RewrittenLogDiffersError(
            f"number, sum and sum of squares of the positions are {old} before and {new} afterwards"
        )
    pairs = cursor.execute(_SELECT_STREAMS).fetchone()
    assert pairs is not None  # noqa: S101 - an aggregate has one row
    streams, old_streams, new_streams, same_versions = pairs
    if not (streams == old_streams == new_streams and same_versions):
        raise RewrittenLogDiffersError(
            f"{old_streams:,} old streams became {new_streams:,}"
            + ("" if same_versions else ", some with other versions")
        )


def check_counts(cursor: Cursor[tuple[Any, ...]]) -> ConvertedCountsDifferError | None:
    """Compare the performance counts of before with those made anew; returns the error if they differ."""
    differences = [f"{side}: {row}" for side, row in cursor.execute(_SELECT_COUNT_DIFFERENCES).fetchall()]
    return ConvertedCountsDifferError(differences) if differences else None
