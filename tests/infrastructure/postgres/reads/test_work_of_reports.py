"""A report reads no more counts than it needs."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from offerlog import Granularity, ReportQuery, open_offerlog
from offerlog_infrastructure.postgres.reads import performance
from support.plans import nodes
from support.recount import rows

MAPS, DAYS = 20, 30
START = datetime(2026, 3, 1, 18, 30, tzinfo=UTC)
"""Midnight in a zone with half an hour, so that the first and the last day of UTC are cut."""

FIRST, END = (int((START + timedelta(days=days)).timestamp()) // 900 for days in (0, DAYS))
"""The quarter-hours of the report."""

FILL_COUNTS = """
    INSERT INTO performance_counts (organization, cohort, action_map_id, slot, media_type, offered, accepted,
        rejected, started, abandoned, engaged, ignored, errored, timedout)
    SELECT 'default', 'event', md5('map' || action_map)::uuid, slot, 'webchat', 1, 0, 0, 0, 0, 0, 0, 0, 0
    FROM generate_series(1, %s) AS action_map, generate_series(%s, %s) AS slot
"""
FILL_DAYS = """
    INSERT INTO performance_days (organization, cohort, action_map_id, day, media_type, offered, accepted,
        rejected, started, abandoned, engaged, ignored, errored, timedout)
    SELECT organization, cohort, action_map_id, floor(slot / 96.0), media_type, sum(offered),
        0, 0, 0, 0, 0, 0, 0, 0
    FROM performance_counts GROUP BY 1, 2, 3, 4, 5
"""


def test_a_total_reads_quarter_hours_of_the_cut_days_alone(make_dsn: Callable[[], str]) -> None:
    """And whole days of all others: it costs nearly the same for any number of days."""
    # given
    dsn = make_dsn()
    query = ReportQuery("default", start=START, end=START + timedelta(days=DAYS), by=Granularity.TOTAL)
    parts = performance.split_into_days_and_slots(FIRST, END, [(FIRST, 0)])
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        rows(dsn, FILL_COUNTS, MAPS, FIRST - 96, END + 96)
        for statement in (FILL_DAYS, "ANALYZE performance_counts", "ANALYZE performance_days"):
            rows(dsn, statement)
        # when
        made = service.report(query)
    explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {performance._SELECT_COUNTS_BY_DAYS}"
    asked = performance.parameters_of(query) | parts | {"most": None}
    names = re.findall(r"%\((\w+)\)s", explained)
    (((plan,),),) = rows(dsn, re.sub(r"%\(\w+\)s", "%s", explained), *(asked[name] for name in names))
    # then
    assert [row.metrics["nWebActionsOffered"] for row in made.rows] == [DAYS * 96] * MAPS
    read = sum(
        (one["Actual Rows"] + one.get("Rows Removed by Filter", 0)) * one["Actual Loops"]
        for one in nodes(plan["Plan"])
        if one.get("Relation Name") == "performance_counts"
    )
    assert 0 < read <= MAPS * 2 * 96 * 1.01  # averages are rounded
