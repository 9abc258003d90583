"""1, 2 and 3 PostgreSQL servers that share the visitors: batches of 1,000 and single signals, by one process.

The servers, the process that records and this one share the cores of this machine. So the processor time of
the *busiest* server for a signal says how far more machines get: that server is the limit where each has one.
No projections are kept, here as with one server.
"""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from children import DSN, SECONDS, child, end_with_parent, limited
from ground import database, say, server, settle, timed
from ingest_bulk import record
from ingest_one import rate
from processor_time import Spent, spent_by, spent_by_server
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from traffic import day, lifecycles

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation, parse_slices
from offerlog_infrastructure.keyring.file_keyring import FileKeyring

COUNTS = (1, 2, 3)
SLICES = {1: (), 2: ("8-f",), 3: ("6-a", "b-f")}
"""The slices of the servers other than the first, by number of servers."""
ROUNDS = 2
"""Interleaved, so that the load of others meets all numbers of servers alike."""
BULK, SINGLE = "batches", "single signals"
CALLERS = 256
IN_FLIGHT = 4


def work(home: str, kind: str, amount: int) -> None:
    """Record, from the word on; says how many signals it were, and how long it took."""
    word = end_with_parent()
    lines = day(amount) if kind == BULK else []
    sent = [] if kind == BULK else [*lifecycles(amount)]
    settle()
    with open_offerlog(database_url=home, keep_deadlines=False, project=False) as service:
        service.record([])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        assert word.wait(SECONDS), "the word to begin did not come"
        if kind == BULK:
            done = len(lines)
            seconds = timed(lambda: record(service, lines, IN_FLIGHT))
        else:
            done = sum(map(len, sent))
            seconds = done / rate(service, sent, CALLERS)
        sys.stdout.write(f"{done} {seconds}\n")
        sys.stdout.flush()
        sys.stdin.read()  # its processor time is read before it ends


def main(visitors: int) -> None:
    """Measure and print."""
    amounts = {BULK: visitors, SINGLE: max(visitors // 4, 1)}
    sums: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as held:
        servers = [held.enter_context(server()) for _ in range(max(COUNTS))]
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PGPASSFILE"] = str(write_passwords(folder / "passwords", servers))
        for _ in range(ROUNDS):
            for count in COUNTS:
                for kind, amount in amounts.items():
                    found = measure(servers[:count], kind, amount)
                    before = sums.get((kind, count), [0.0] * len(found))
                    sums[kind, count] = [one + more for one, more in zip(before, found, strict=True)]
    figures: dict[str, float] = {"cores": os.cpu_count() or 1}
    ratios: dict[str, float] = {}
    for (kind, count), (done, seconds, busiest, together, process) in sums.items():
        figures[f"signals/s, {kind}, {count}"] = done / seconds
        figures[f"busiest server, us a signal, {kind}, {count}"] = busiest / done * 1e6
        figures[f"all servers, us a signal, {kind}, {count}"] = together / done * 1e6
        figures[f"process that records, us a signal, {kind}, {count}"] = process / done * 1e6
        if count > 1:
            rates = [figures[f"signals/s, {kind}, {one}"] for one in (1, count)]
            spent = [figures[f"busiest server, us a signal, {kind}, {one}"] for one in (1, count)]
            ratios[f"{count} servers, {kind}, by processor time"] = spent[0] / spent[1]
            ratios[f"{count} servers, {kind}, by the clock"] = rates[1] / rates[0]
    say("shards", figures, ratios)


def measure(servers: list[str], kind: str, amount: int) -> list[float]:
    """Record into empty stores; returns the number of signals, seconds, and processor time.

    That is the time of the busiest server, of all servers, and of the process that records.
    """
    stores = [database(one) for one in servers]
    if len(stores) > 1:
        keyring = FileKeyring(Path(os.environ["OFFERLOG_KEYRING"]))
        with Installation(None, without_password(stores[0]), keyring) as installation:
            installation.begin()
            for store, slices in zip(stores[1:], SLICES[len(stores)], strict=True):
                installation.add(without_password(store), parse_slices(slices))
    words = (sys.executable, __file__, "work", kind, str(amount))
    with child(*words, dsn=without_password(stores[0])) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            sys.exit("shards: the process that records ended before it was ready; its error stands above")
        before = [spent_by_server(one) for one in servers], spent_by(process.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        done, seconds = map(float, process.stdout.readline().split())
        behind = [spent_by_server(one) for one in servers], spent_by(process.pid)
    spent = [now - then for now, then in zip(behind[0], before[0], strict=True)]
    return [done, seconds, max(spent), sum(spent), _sum(behind[1]) - _sum(before[1])]


def _sum(spent: Spent) -> float:
    return sum(spent.values())


def without_password(dsn: str) -> str:
    """The address as a home keeps it."""
    parts = conninfo_to_dict(dsn)
    kept = ("host", "port", "dbname", "user", "options")
    return make_conninfo(**{name: str(parts[name]) for name in kept if name in parts})


def write_passwords(file: Path, servers: list[str]) -> Path:
    """Write the passwords of the servers as libpq reads them."""
    file.touch(mode=0o600)
    lines = ["{host}:*:*:{user}:{password}\n".format(**conninfo_to_dict(one)) for one in servers]
    file.write_text("".join(lines), encoding="utf-8")
    return file


if __name__ == "__main__":
    with limited():
        if len(sys.argv) > 2:
            work(os.environ[DSN], sys.argv[2], int(sys.argv[3]))
        else:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
