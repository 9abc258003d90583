"""Thirty days in a half-hour zone, over the events of 100 action maps, beside SQL straight from a log.

offerlog's own log is too compact for SQL to read. The peers are the same events in a log as the plain
library keeps it (`vs_sql`: a JSON text in every row, found by stream and by position), and, more than fair,
in columns with an index made for the question (`vs_columns`).
"""

import re
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from children import limited
from ground import database, say, server, settle

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.performance_report import UNLIMITED
from offerlog_domain.metrics import METRICS, Granularity
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
_LOG = """
    CREATE TABLE log AS
    SELECT md5('stream' || row_number() OVER ())::uuid AS originator_id, 1 AS originator_version,
        'offers:Moved' AS topic, row_number() OVER () AS notification_id,
        convert_to(json_build_object(
            'action_map_id', action_map_id, 'state', state, 'occurred_at', occurred_at,
            'session_id', md5(random()::text)::uuid, 'event_id', md5(random()::text)::uuid
        )::text, 'UTF8') AS state
    FROM plain;
    ALTER TABLE log ADD PRIMARY KEY (originator_id, originator_version);
    CREATE UNIQUE INDEX ON log (notification_id);
"""
_READ = """
    (SELECT (told->>'action_map_id')::uuid AS action_map_id, told->>'state' AS state,
        (told->>'occurred_at')::timestamptz AS occurred_at
     FROM (SELECT convert_from(state, 'UTF8')::json AS told FROM log) AS read)
"""
_COLUMN_NAMES = [re.sub("[A-Z]", r"_\g<0>", state.value).lower() for state in METRICS]
_COLUMNS = ", ".join(_COLUMN_NAMES)
_DAY_SUMS = ", ".join(f"sum({name})" for name in _COLUMN_NAMES)
_COUNT = f"""
    INSERT INTO performance_counts (organization, cohort, action_map_id, slot, media_type, {_COLUMNS})
    SELECT 'default', cohort, action_map_id, floor(extract(epoch FROM occurred_at) / 900), 'webchat', {_SUMS}
    FROM plain, (VALUES ('event'), ('offered')) AS cohorts (cohort) GROUP BY 1, 2, 3, 4
"""
_DAYS = f"""
    INSERT INTO performance_days (organization, cohort, action_map_id, day, media_type, {_COLUMNS})
    SELECT organization, cohort, action_map_id, floor(slot / 96.0), media_type, {_DAY_SUMS}
    FROM performance_counts GROUP BY 1, 2, 3, 4, 5
"""
_PLAIN = f"""
    SELECT action_map_id, {{bucket}} AS bucket, {_SUMS} FROM {{source}} AS events
    WHERE occurred_at >= %s AND occurred_at < %s {{where}} GROUP BY 1, 2 ORDER BY 1, 2
"""
_HOUR = "date_trunc('hour', occurred_at AT TIME ZONE 'Asia/Kolkata')"


def _fetched(
    connection: psycopg.Connection[tuple[Any, ...]], statement: bytes, asked: tuple[object, ...]
) -> list[tuple[Any, ...]]:
    return connection.execute(statement, asked).fetchall()


def median(work: Callable[[], object], times: int) -> float:
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
            connection.execute(_LOG)
            connection.execute("VACUUM ANALYZE log")
            connection.execute(_COUNT)
            connection.execute(_DAYS)
            connection.execute("VACUUM ANALYZE performance_days")
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
                    made = service.report(query, UNLIMITED)
                    figures[f"{name}, rows"] = len(made.rows)
                    figures[f"{name}, ms"] = median(partial(service.report, query, UNLIMITED), 5)
                    asked = (START.astimezone(UTC), END.astimezone(UTC), *(uuid.UUID(m) for m in maps))
                    for peer, source in (("sql", _READ), ("columns", "plain")):
                        statement = _PLAIN.format(
                            bucket=_HOUR if by is Granularity.HOUR else "NULL",
                            source=source,
                            where="AND action_map_id = %s" if maps else "",
                        ).encode()
                        theirs = connection.execute(statement, asked).fetchall()
                        assert len(theirs) == len(made.rows), (len(theirs), len(made.rows))
                        assert sum(sum(row[2:8]) for row in theirs) == sum(
                            sum(row.metrics.values()) for row in made.rows
                        )
                        took = figures[f"{name}, {peer}, ms"] = median(
                            partial(_fetched, connection, statement, asked), 1
                        )
                        ratios[f"vs_{peer}, {name}"] = took / figures[f"{name}, ms"]
    say("report", figures, ratios)


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
