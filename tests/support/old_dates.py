"""A log of offers dated every 365 days from the year 2 on, as versions wrote them that took any date."""

from contracts.recount import rows

OLD_DAYS = 2_024
"""The days of each map on which something was counted."""

# What such offers leave in the projection.
_COUNT_OLD_DAYS = """
    INSERT INTO performance_days
    SELECT 'default', %s, cohort, day, 1, 0, 0, 0, 0, 0, 0, 0, 0
    FROM generate_series(-718750, 19800, 365) AS day, unnest(ARRAY['event', 'offered']) AS cohort
"""
_COUNT_OLD_SLOTS = _COUNT_OLD_DAYS.replace("performance_days", "performance_counts").replace(
    "cohort, day", "cohort, day * 96 + 40"
)


def count_old_days(dsn: str, action_map: str) -> None:
    """Count an offer of this map, of the organization `default`, on each of the old days."""
    rows(dsn, _COUNT_OLD_DAYS, action_map)
    rows(dsn, _COUNT_OLD_SLOTS, action_map)
