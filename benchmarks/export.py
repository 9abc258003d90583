"""Exports: rows a second of processor time and peak memory of the command, over a log and a quarter of it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from audit import fill
from children import SECONDS, limited
from ground import database, say, server, settle
from ingest_bulk import IN_FLIGHT, record
from traffic import day

from offerlog_infrastructure.composition import open_offerlog

COMMAND = """
import atexit, resource, sys
def say():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1_000, file=sys.stderr)
atexit.register(say)
from offerlog_infrastructure.cli.main import main
main()
"""
"""The command, which says at its end what it has used."""
KINDS = ("events", "actions")
FORMATS = ("parquet", "csv", "ndjson", "arrow")


def export(dsn: str, kind: str, file: Path, as_of: int) -> tuple[float, float]:
    """Run one export in a new process; returns its processor time in seconds and its peak in MB."""
    words = [sys.executable, "-c", COMMAND, "export", kind, str(file), "--as-of", str(as_of)]
    environment = {**os.environ, "OFFERLOG_DATABASE_URL": dsn}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=SECONDS)
    seconds, peak = map(float, run.stderr.splitlines()[-1].split())
    return seconds, peak


def main(size: int, visitors: int) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    growth: dict[str, float] = {}
    settle()
    with server() as dsn, tempfile.TemporaryDirectory() as folder:
        ours = database(dsn)
        with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
            record(service, day(visitors), IN_FLIGHT)
        figures["events"] = stored = fill(ours, size)
        for kind in KINDS:
            for form in FORMATS:
                file, name = Path(folder) / f"export.{form}", f"{kind}, {form}"
                _, small = export(ours, kind, file, stored // 4)
                cpu, peak = export(ours, kind, file, stored)
                figures[f"{name}: events/s of processor time"] = stored / cpu
                figures[f"{name}: peak, MB"] = peak
                growth[f"{name}: peak, whole log vs a quarter"] = peak / small
    say("export", figures, growth)


if __name__ == "__main__":
    with limited():
        main(100_000 if "--small" in sys.argv else 1_000_000, 4_000)
