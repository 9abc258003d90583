"""`offerlog serve` with 1, 2 and 4 workers: single posts over HTTP, by processor time and by the clock.

The busiest process is the limit of a machine that has a core for each. So its processor time for a request
says how far a service scales, on whatever machine the bench runs. The clock says what this machine does: the
workers, the process of the background, PostgreSQL and wrk share its cores.
"""

import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from children import SECONDS as LIMIT
from children import child, limited, missing
from ground import database, say, server
from http_service import SIGNALS
from processor_time import spent_by, spent_by_server
from scaling import BUSIEST, DONE, SECONDS, TOGETHER, compare_counts

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog

CONNECTIONS, LOAD_SECONDS = 128, 4
"""Of each run of wrk."""
SERVE = ("-m", "offerlog_infrastructure.cli.main", "serve", "--port", "0", "--workers")


def main() -> None:
    """Measure and print."""
    if hint := missing("wrk"):
        sys.exit(f"workers: {hint}")
    with server() as store, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "calls.lua"
        figures, ratios = compare_counts(partial(measure, store, script), "post", "workers")
    say("workers", figures, ratios)


def measure(store: str, script: Path, count: int, number: int) -> dict[str, float]:
    """Run wrk against a new service once; the processor time of everything that took part, in seconds."""
    ours = database(store)
    with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
        key = service.keys.create("default", Role.SERVICE, "")[1]
    environment = {"OFFERLOG_DATABASE_URL": ours, "OFFERLOG_LOG_LEVEL": "error", "OFFERLOG_BENCH_SECONDS": ""}
    with child(sys.executable, *SERVE, str(count), environment=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Serving at "):
            sys.exit("workers: the service ended before it served; its error stands above")
        url = line.split()[2]
        load(url, key, script, f"{number}{count}0", 1)  # every worker has met a request
        before, of_server, of_load = spent_by(process.pid), spent_by_server(ours), of_children()
        began = time.perf_counter()
        requests = load(url, key, script, f"{number}{count}1", LOAD_SECONDS)
        seconds = time.perf_counter() - began
        spent = {pid: now - before.get(pid, 0.0) for pid, now in spent_by(process.pid).items()}
        found = {
            DONE: requests,
            SECONDS: seconds,
            BUSIEST: max(spent.values()),
            TOGETHER: sum(spent.values()),
            "PostgreSQL": spent_by_server(ours) - of_server,
            "wrk": of_children() - of_load,
        }
        process.terminate()
        process.wait(LIMIT)
        return found


def load(url: str, key: str, script: Path, run: str, seconds: int) -> float:
    """Post signals of new visitors for some seconds; returns how many were answered."""
    script.write_text(SIGNALS.replace("RUN", run))
    result = subprocess.run(
        [
            *("wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", script),
            *(
                "-H",
                f"Authorization: Bearer {key}",
                "-H",
                "Content-Type: application/json",
                f"{url}/v1/signals",
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    ).stdout
    assert "Non-2xx" not in result, result
    return float(re.search(r"(\d+) requests in", result)[1])  # type: ignore[index] # wrk always says so


def of_children() -> float:
    """The processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    with limited():
        main()
