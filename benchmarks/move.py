"""The move of one slice between two PostgreSQL servers: each step, and how long the slice has no owner.

All visitors of a simulated day get ids that lie in one slice, which then goes to the home and back. Both
servers, and the process that applies the projections of both, share the cores of this machine.

`move.py beside` moves one slice to and fro several times: with nothing beside it, with processes that record
so many signals a second in all, and with as many busy processes more. It says how long the slice had no
owner, by step, and how long signals of this slice and of others have waited meanwhile.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from subprocess import Popen
from typing import Any

from children import DSN, child, limited
from ground import database, say, server, settle
from ingest_bulk import record
from move_beside import write
from shards import without_password, write_passwords
from traffic import day

from offerlog_application.ports.shards import MovedSlice, MoveProgress
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation, parse_slices
from offerlog_infrastructure.keyring.file_keyring import FileKeyring

SLICE = 3
SIZES = (1_000, 10_000, 100_000)
"""Numbers of visitors; each has 2.9 events."""
STEPS = ("copying", "comparing", "fenced", "leaving")


def in_slice(lines: list[bytes], service: ShardedOfferlog) -> list[bytes]:
    """The same signals of other visitors, who all lie in the slice that shard 1 has."""
    ids: dict[str, str] = {}

    def find(old: str) -> str:
        return next(
            new
            for new in (f"{old}-{number}" for number in count())
            if service.shards_of([VisitorKey("cookie", new)]) == {1}
        )

    found = []
    for line in lines:
        signal = json.loads(line)
        old = signal.get("customerId")
        if isinstance(old, str) and old:
            if old not in ids:
                ids[old] = find(old)
            signal["customerId"] = ids[old]
        found.append(json.dumps(signal).encode())
    return found


BESIDE = (3_000, 200, 6, 4)
"""Visitors, signals a second, moves of each kind, and busy processes."""
WRITERS = 2
"""Processes that record beside the moves."""
SETTLING = 3.0
"""Seconds before the first move, in which processes come to their rate."""
BUSY = "from children import end_with_parent\nend_with_parent()\nwhile True: pass"
HERE = {"PYTHONPATH": str(Path(__file__).parent)}
PROJECT = (
    "import os, sys; from offerlog_infrastructure.composition import open_offerlog\n"
    f"with open_offerlog(database_url=os.environ[{DSN!r}]): sys.stdin.read()"
)
"""A service that records nothing: it applies the projections."""
WRITE = (sys.executable, __file__, "write")
AROUND = (0.1, 0.3)
"""Seconds before and behind the fence: signals handed in then may meet it, or what it leaves behind."""


def move(home: str, target: int) -> tuple[MovedSlice, dict[str, float], float]:
    """Move the slice; returns what the command says, the seconds of each step, and the time of the fence."""
    began: dict[str, float] = {}

    def note(progress: MoveProgress) -> None:
        began.setdefault(progress.step, time.monotonic())

    keyring = FileKeyring(Path(os.environ["OFFERLOG_KEYRING"]))
    with Installation(None, home, keyring) as installation:
        moved = installation.move(SLICE, target, note)
    times = [*(began[step] for step in STEPS), time.monotonic()]
    steps = {step: end - at for step, at, end in zip(STEPS, times, times[1:], strict=False)}
    return moved, steps, began["leaving"] - moved.seconds


@contextmanager
def moving_slice(visitors: int) -> Iterator[str]:
    """Two servers, of which the second has the slice and its visitors; yields the address of the home."""
    with ExitStack() as held:
        servers = [held.enter_context(server()) for _ in range(2)]
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PGPASSFILE"] = str(write_passwords(folder / "passwords", servers))
        yield make_stores(servers, day(visitors))


def make_stores(servers: list[str], lines: list[bytes]) -> str:
    """Make empty stores, of which the second has the slice, and record; returns the address of the home."""
    stores = [without_password(database(one)) for one in servers]
    keyring = FileKeyring(Path(os.environ["OFFERLOG_KEYRING"]))
    with Installation(None, stores[0], keyring) as installation:
        installation.begin()
        installation.add(stores[1], parse_slices(f"{SLICE:x}"))
    settle()
    with open_offerlog(database_url=stores[0]) as service:
        assert isinstance(service, ShardedOfferlog)
        record(service, in_slice(lines, service), 1)
        service.catch_up()
    return stores[0]


def beside(visitors: int, each_second: int, moves: int, busy: int) -> None:
    """Move under load, and print."""
    with moving_slice(visitors) as home:
        for writers, more in dict.fromkeys([(0, 0), (WRITERS, 0), (WRITERS, busy)]):
            with ExitStack() as held:
                for _ in range(more):
                    held.enter_context(child(sys.executable, "-c", BUSY, environment=HERE))
                processes = [
                    held.enter_context(child(*WRITE, f"{more}-{n}", str(each_second / writers), dsn=home))
                    for n in range(writers)
                ]
                if not writers:
                    held.enter_context(child(sys.executable, "-c", PROJECT, dsn=home))
                for process in processes:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "ready\n", "a process that records has failed"
                time.sleep(SETTLING)
                moved, fenced, loads = [], [], []
                for n in range(moves):
                    found = move(home, n % 2)
                    moved.append(found[0])
                    fenced.append(found[2])
                    loads.append(os.getloadavg()[0])
                waits = [one for process in processes for one in finish(process)]
            figures = {"load average, least": min(loads), "load average, most": max(loads)}
            figures |= {
                f"{name}, ms": 1_000 * value for name, value in describe(moved, fenced, waits).items()
            }
            rate = each_second if writers else 0
            say(f"move beside {rate} signals/s and {more} busy processes, {moves} moves", figures, {})


def finish(process: Popen[str]) -> list[list[Any]]:
    """Tell a process that records to stop; returns its waits."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("stop\n")
    process.stdin.flush()
    found = json.loads(process.stdout.readline())
    if found["failed"]:
        sys.exit(f"move: {len(found['failed'])} signals have failed: {found['failed'][0]}")
    return list(found["waits"])


def describe(moved: list[MovedSlice], fenced: list[float], waits: list[list[Any]]) -> dict[str, float]:
    """The figures of some moves, in seconds."""
    gaps = [one.seconds for one in moved]
    figures = {"without an owner, median": median(gaps), "without an owner, longest": max(gaps)}
    for step in moved[0].steps:
        if not step.has_owner:
            taken = [one.seconds for each in moved for one in each.steps if one.name == step.name]
            figures[f"  {step.name}, median"] = median(taken)
    for is_slice, whose in ((True, "of the slice"), (False, "of others")) if waits else ():
        during = [
            [
                wait
                for began, wait, mine in waits
                if mine is is_slice and -AROUND[0] <= began - since <= AROUND[1]
            ]
            for since in fenced
        ]
        everything = [wait for one in during for wait in one]
        figures[f"wait of a signal {whose} near the fence, median"] = median(everything)
        figures[f"longest wait {whose}, median of the moves"] = median(
            max(one, default=0.0) for one in during
        )
        figures[f"longest wait {whose}, longest"] = max(everything)
        usual = [wait for _, wait, mine in waits if mine is is_slice]
        figures[f"wait of a signal {whose} in all, median"] = median(usual)
    return figures


def main(sizes: tuple[int, ...]) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    with ExitStack() as held:
        servers = [held.enter_context(server()) for _ in range(2)]
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PGPASSFILE"] = str(write_passwords(folder / "passwords", servers))
        for visitors in sizes:
            home = make_stores(servers, day(visitors))
            with open_offerlog(database_url=home):
                for target in (0, 1):
                    moved, steps, _ = move(home, target)
                    name = f"{moved.events:,} events, {'back' if target else 'there'}"
                    figures |= {f"{name}: {step}, s": seconds for step, seconds in steps.items()}
                    figures[f"{name}: without an owner, ms"] = moved.seconds * 1_000
                    figures[f"{name}: events/s copied"] = moved.events / steps["copying"]
    say("move", figures, {})


if __name__ == "__main__":
    with limited():
        if sys.argv[1:2] == ["write"]:
            write(sys.argv[2], float(sys.argv[3]))
        elif sys.argv[1:2] == ["beside"]:
            beside(*map(int, sys.argv[2:] or BESIDE))
        else:
            main(tuple(map(int, sys.argv[1:])) or SIZES)
