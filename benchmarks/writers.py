"""1 to 4 processes recording into one log at once, 1,000 signals a call, beside the binary-COPY limit."""

import os
import sys
import time
from contextlib import ExitStack

from children import DSN, SECONDS, child, end_with_parent, limited
from ground import database, say, server, settle
from ingest_bulk import CALL, record
from peers import copy_rate, stored_rows
from traffic import day

from offerlog_infrastructure.composition import open_offerlog

COUNTS = (1, 2, 3, 4)


def work(dsn: str, seed: int, visitors: int) -> None:
    """One writer: gets ready, waits for the word, records, says how long it took."""
    word = end_with_parent()
    lines = day(visitors, seed)
    settle()
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        service.record([])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        assert word.wait(SECONDS), "the word to begin did not come"
        record(service, lines, 1)
    sys.stdout.write(f"{len(lines)}\n")
    sys.stdout.flush()


def main(visitors: int) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    with server() as dsn:
        for count in COUNTS:
            ours = database(dsn)
            command = (sys.executable, __file__)
            with ExitStack() as running:
                started = [
                    running.enter_context(child(*command, str(seed), str(visitors // count), dsn=ours))
                    for seed in range(count)
                ]
                for process in started:
                    assert process.stdout is not None
                    if process.stdout.readline() != "ready\n":
                        sys.exit("writers: a writer ended before it was ready; its error stands above")
                began = time.perf_counter()
                for process in started:
                    assert process.stdin is not None
                    process.stdin.write("go\n")
                    process.stdin.flush()
                signals = sum(int(process.stdout.readline()) for process in started if process.stdout)
                figures[f"signals/s, {count} writers"] = signals / (time.perf_counter() - began)
        limit = figures["COPY limit, rows/s"] = copy_rate(database(dsn), stored_rows(ours), CALL)
    one = figures["signals/s, 1 writers"]
    ratios = {f"{n} writers": figures[f"signals/s, {n} writers"] / one for n in COUNTS[1:]}
    say("writers", figures, ratios | {"vs_copy, 3 writers": figures["signals/s, 3 writers"] / limit})


if __name__ == "__main__":
    with limited():
        if len(sys.argv) > 2:
            work(os.environ[DSN], int(sys.argv[1]), int(sys.argv[2]))
        else:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
