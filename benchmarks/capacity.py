"""The constants of docs/capacity.md: processor time, write-ahead log and bytes of an event, all in.

A simulated day is recorded without projections; then its events are projected, and sealed into the tree.
"""

import sys
import time
from collections.abc import Callable

import psycopg
from audit import SELECT_UNSEALED
from children import SECONDS, limited
from ground import database, say, server, settle
from ingest_bulk import record
from processor_time import spent_by_server
from traffic import day

from offerlog_infrastructure.composition import open_offerlog

_GROUPS = {
    "events, with two indexes": "offerlog_events",
    "visitors and their keys": "visitors",
    "projections, with their indexes": (
        "(current|parked|blocked|performance)_|suppressions|form_rejections|action_map_names"
    ),
    "the tree": "tree_",
    "refusals": "refusal",
}
"""The beginning of the names of the tables, as a regular expression."""
_SIZE = """
    SELECT sum(pg_total_relation_size(oid))::float8 FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname ~ ('^(' || %s || ')')
"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8"
_EVENTS = "SELECT count(*)::float8 FROM offerlog_events"
_MICROSECONDS = 1_000_000


def ask(dsn: str, query: str, *values: str) -> float:
    """The one number that a query gives."""
    with psycopg.connect(dsn) as connection:
        ((found,),) = connection.execute(query, values).fetchall()
    return float(found)


def spent(dsn: str, work: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of processor time that some work takes here and in PostgreSQL, and its bytes of log."""
    here, there, log = time.process_time(), spent_by_server(dsn), ask(dsn, _WAL)
    work()
    return time.process_time() - here, spent_by_server(dsn) - there, ask(dsn, _WAL) - log


def recorded(dsn: str, lines: list[bytes]) -> None:
    """Record the day."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        record(service, lines, 1)


def applied(dsn: str) -> None:
    """Project everything, and seal it into the tree."""
    until = time.monotonic() + SECONDS
    with open_offerlog(database_url=dsn) as service, psycopg.connect(dsn, autocommit=True) as connection:
        service.catch_up()
        while connection.execute(SELECT_UNSEALED).fetchone() is not None:
            if time.monotonic() > until:
                sys.exit("capacity: the tree is not sealed")
            time.sleep(0.05)


def main(visitors: int) -> None:
    """Measure and print."""
    lines = day(visitors)
    settle()
    figures: dict[str, float] = {"signals": len(lines)}
    with server() as dsn:
        ours = database(dsn)
        steps = {"recorded": lambda: recorded(ours, lines), "projected and sealed": lambda: applied(ours)}
        for name, step in steps.items():
            here, there, log = spent(ours, step)
            events = ask(ours, _EVENTS)
            figures |= {
                f"{name}: Python, us an event": here / events * _MICROSECONDS,
                f"{name}: PostgreSQL, us an event": there / events * _MICROSECONDS,
                f"{name}: write-ahead log, bytes an event": log / events,
            }
        figures["events"] = events
        with psycopg.connect(ours, autocommit=True) as connection:
            connection.execute("VACUUM")
        sizes = {f"{name}, bytes": ask(ours, _SIZE, tables) / events for name, tables in _GROUPS.items()}
    say("capacity", figures | sizes | {"all in, bytes": sum(sizes.values())}, {})


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
