"""Thirty days in a half-hour zone, over the events of 100 action maps, beside SQL on plain rows.

The peer is generous to SQL: an event's map, state and time lie in columns of an indexed table, where the log
keeps them in a compact form that SQL cannot read.
"""

import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import psycopg
from ground import database, say, server, settle

from offerlog_application.calendar import Granularity
from offerlog_application.reports import ReportQuery
from offerlog_domain.metrics import METRICS
from offerlog_infrastructure.composition import open_offerlog

ZONE = ZoneInfo("Asia/Kolkata")
START, END = datetime(2026, 3, 1, tzinfo=ZONE), datetime(2026, 3, 31, tzinfo=ZONE)
_STATES = ", ".join(f"'{state.value}'" for state in METRICS)
_SUMS = ", ".join(f"count(*) FILTER (WHERE state = '{state.value}')" for state in METRICS)

_FILL = f"""
    CREATE TABLE plain AS
    SELECT md5('map' || n % 100)::uuid AS action_map_id, (ARRAY[{_STATES}])[1 + n % 9] AS state,
        timestamptz '2026-02-20 00:00Z' + (n::double precision / :events) * interval '45 days' AS occurred_at
    FROM generate_series(1, :events) AS n;
"""
_COLUMNS = ", ".join(state.value for state in METRICS)
_COUNT = f"""
    INSERT INTO performance_counts (organization, cohort, action_map_id, slot, {_COLUMNS})
    SELECT 'default', cohort, action_map_id, floor(extract(epoch FROM occurred_at) / 900), {_SUMS}
    FROM plain, (VALUES ('event'), ('offered')) AS cohorts (cohort) GROUP BY 1, 2, 3, 4
"""
_PLAIN = f"""
    SELECT action_map_id, {{bucket}} AS bucket, {_SUMS} FROM plain
    WHERE occurred_at >= %s AND occurred_at < %s {{where}} GROUP BY 1, 2 ORDER BY 1, 2
"""
_HOUR = "date_trunc('hour', occurred_at AT TIME ZONE 'Asia/Kolkata')"


def fastest(work: Callable[[], object], times: int) -> float:
    """Milliseconds of the median of some runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)[len(taken) // 2]


def main(events: int) -> None:
    """Measure and print."""
    figures: dict[str, float] = {"events": events}
    ratios: dict[str, float] = {}
    with server() as dsn:
        ours = database(dsn)
        with psycopg.connect(ours, autocommit=True) as connection:
            connection.execute(_FILL.replace(":events", str(events)).encode())
            connection.execute("CREATE INDEX ON plain (action_map_id, occurred_at)")
            connection.execute(_COUNT)
            connection.execute("VACUUM ANALYZE performance_counts")
            connection.execute("VACUUM ANALYZE plain")
            one = str(connection.execute("SELECT min(action_map_id::text) FROM plain").fetchone()[0])  # type: ignore[index] # an aggregate has one row
            figures["rows of counts"] = float(
                connection.execute("SELECT count(*) FROM performance_counts").fetchone()[0]  # type: ignore[index] # as above
            )
            with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
                settle()
                for name, by, maps in (
                    ("a: one map hourly", Granularity.HOUR, (one,)),
                    ("b: all maps in total", Granularity.TOTAL, ()),
                    ("c: all maps hourly", Granularity.HOUR, ()),
                ):
                    query = ReportQuery("default", start=START, end=END, zone=ZONE, by=by, action_maps=maps)
                    made = service.report(query)
                    figures[f"{name}, rows"] = len(made.rows)
                    figures[f"{name}, ms"] = fastest(lambda q=query: service.report(q), 5)
                    plain = _PLAIN.format(
                        bucket=_HOUR if by is Granularity.HOUR else "NULL",
                        where="AND action_map_id = %s" if maps else "",
                    )
                    asked = (START.astimezone(UTC), END.astimezone(UTC), *(uuid.UUID(m) for m in maps))
                    theirs = connection.execute(plain, asked).fetchall()
                    assert len(theirs) == len(made.rows), (len(theirs), len(made.rows))
                    assert sum(map(sum, (row[2:8] for row in theirs))) == sum(
                        sum(row.metrics.values()) for row in made.rows
                    )
                    figures[f"{name}, SQL, ms"] = fastest(
                        lambda p=plain, a=asked: connection.execute(p, a).fetchall(), 3
                    )
                    ratios[f"vs_sql, {name}"] = figures[f"{name}, SQL, ms"] / figures[f"{name}, ms"]
    say("report", figures, ratios)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
