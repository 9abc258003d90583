"""Tamper evidence: verification, bytes of the tree, a proof, and ingest with the sealer and without it."""

import random
import sys
import tempfile
import time
from contextlib import nullcontext
from functools import partial
from itertools import count, islice
from pathlib import Path

import psycopg
from children import limited
from ground import database, percentile, say, server, settle, timed
from ingest_bulk import IN_FLIGHT, record
from psycopg.rows import dict_row
from traffic import day
from unsealed import no_tree

from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from offerlog_infrastructure.postgres.tree.sealer import TreeSealer

_COPY_EVENTS = """
    INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
    SELECT overlay(originator_id::text PLACING lpad(to_hex(%s::int), 6, '0') FROM 31)::uuid,
        originator_version, topic, state
    FROM first_day ORDER BY position
"""
_SUFFIXES = "SELECT DISTINCT right(originator_id::text, 6) FROM first_day"
"""The digits that `_COPY_EVENTS` replaces. A stream that has the number of a copy would meet it."""
SELECT_UNSEALED = """
    SELECT FROM tree_progress WHERE position < (SELECT max(notification_id) FROM offerlog_events)
"""
_TREE_BYTES = "SELECT pg_total_relation_size('tree_tiles')::float8 / (SELECT size FROM tree_progress)"
PROOFS = 200
RUNS = 2


def fill(dsn: str, size: int) -> int:
    """Copy the events of a day again and again, each time into new streams; returns their number."""
    with psycopg.connect(dsn, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute(
            "CREATE UNLOGGED TABLE first_day AS SELECT notification_id AS position, originator_id,"
            " originator_version, topic, state FROM offerlog_events"
        )
        ((stored,),) = connection.execute("SELECT count(*) FROM first_day").fetchall()
        taken = {int(suffix, 16) for (suffix,) in connection.execute(_SUFFIXES)}
        free = (number for number in count(1) if number not in taken)
        for number in islice(free, max(size // stored - 1, 0)):
            connection.execute(_COPY_EVENTS, (number,))
        connection.execute("VACUUM ANALYZE offerlog_events")
        ((stored,),) = connection.execute("SELECT count(*) FROM offerlog_events").fetchall()
    return int(stored)


def sealing(dsn: str, lines: list[bytes], *, on: bool) -> float:
    """Signals a second of ingest-bulk beside projections, with the sealer or without."""
    with (
        nullcontext() if on else no_tree(),
        open_offerlog(database_url=database(dsn), keep_deadlines=False) as service,
    ):
        return len(lines) / timed(partial(record, service, lines, IN_FLIGHT))


def seal_all(dsn: str) -> float:
    """Seal what is in the log, without projections, which cannot read these copies; returns seconds."""
    sealer, began = TreeSealer(LOCK_SPACE, ArchivedFiles()), time.perf_counter()
    with psycopg.connect(
        dsn, autocommit=True, row_factory=dict_row, options=f"-c search_path={SCHEMA}"
    ) as connection:
        row = connection.execute("SELECT max(notification_id) AS last FROM offerlog_events").fetchone()
        assert row is not None
        while connection.execute(SELECT_UNSEALED).fetchone() is not None:
            sealer.seal(connection, row["last"])
    return time.perf_counter() - began


def main(size: int, visitors: int) -> None:
    """Measure and print."""
    lines = day(visitors)
    figures: dict[str, float] = {}
    settle()
    with server() as dsn, tempfile.TemporaryDirectory() as folder:
        rates: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(RUNS):
            for on in (True, False):  # interleaved, as other load comes and goes
                rates[on].append(sealing(dsn, lines, on=on))
        ours = database(dsn)
        with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
            record(service, lines, IN_FLIGHT)
        stored = fill(ours, size)
        key = Path(folder) / "audit.key"
        make_audit_key(key, "bench.example/offers", SignatureType.ED25519, None)
        figures["sealed, events/s"] = stored / seal_all(ours)
        with open_offerlog(database_url=ours, keep_deadlines=False, project=False, audit_key=key) as service:
            evidence = service.evidence
            assert evidence is not None
            evidence.checkpoint()
            with psycopg.connect(ours, options=f"-c search_path={SCHEMA}") as connection:
                ((figures["tree, bytes an event"],),) = connection.execute(_TREE_BYTES).fetchall()
            chosen = random.Random(7)  # noqa: S311 - a sample
            times = [
                timed(partial(evidence.prove, chosen.randrange(1, stored))) * 1_000 for _ in range(PROOFS)
            ]
            began, cpu = time.perf_counter(), time.process_time()
            report = evidence.verify()
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            assert report.is_whole
    figures |= {
        "events": stored,
        "verify, events/s": report.events / seconds,
        "verify, events/s of processor time": report.events / cpu,
        "proof p50, ms": percentile(times, 0.5),
        "proof p99, ms": percentile(times, 0.99),
        "signals/s, sealing": max(rates[True]),
        "signals/s, not sealing": max(rates[False]),
    }
    say("audit", figures, {"ingest-bulk, sealing vs not": max(rates[True]) / max(rates[False])})


if __name__ == "__main__":
    with limited():
        small = "--small" in sys.argv
        main(
            10_000_000 if "--full" in sys.argv else 60_000 if small else 1_000_000, 4_000 if small else 20_000
        )
