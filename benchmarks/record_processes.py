"""`offerlog record` with 1, 2 and 4 processes: a file of NDJSON, by processor time and by the clock.

As in the bench `workers`: the busiest process is the limit where each has a core. PostgreSQL, the process of
the projections and the one that reads the file share the cores of this machine with those that record.
"""

import sys
import tempfile
import time
from pathlib import Path

from children import SECONDS as LIMIT
from children import child, limited
from ground import database, say, server
from processor_time import Spent, spent_by_server, watched
from scaling import BUSIEST, DONE, SECONDS, TOGETHER, compare_counts
from traffic import day

RECORD = ("-m", "offerlog_infrastructure.cli.main", "record", "--outcomes")


def main(visitors: int) -> None:
    """Measure and print."""
    lines = day(visitors)
    with server() as store, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "day.ndjson"
        file.write_bytes(b"\n".join(lines) + b"\n")
        figures, ratios = compare_counts(
            lambda count, _: {DONE: len(lines), **measure(store, file, count)}, "signal", "processes"
        )
    say("record-processes", figures, ratios)


def measure(store: str, file: Path, count: int) -> dict[str, float]:
    """Record a file into an empty store, from its first outcome on; the processor time in seconds."""
    ours, outcomes = database(store), file.with_suffix(".out")
    outcomes.unlink(missing_ok=True)
    environment = {"OFFERLOG_DATABASE_URL": ours, "OFFERLOG_BENCH_SECONDS": ""}
    words = (sys.executable, *RECORD, outcomes, "--processes", str(count), file)
    with child(*words, environment=environment) as process, watched(process.pid) as spent:
        while process.poll() is None and not (outcomes.exists() and outcomes.stat().st_size):
            time.sleep(0.005)
        began, before, of_server = time.perf_counter(), Spent(spent), spent_by_server(ours)
        process.wait(LIMIT)
        seconds = time.perf_counter() - began
        of_server = spent_by_server(ours) - of_server
    if process.returncode:
        sys.exit("record_processes: the command failed; its error stands above")
    used = [now - before.get(pid, 0.0) for pid, now in spent.items()]
    return {
        SECONDS: seconds,
        BUSIEST: max(used),
        TOGETHER: sum(used),
        "PostgreSQL": of_server,
    }


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
