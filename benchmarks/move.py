"""The move of one slice between two PostgreSQL servers: each step, and how long the slice has no owner.

All visitors of a simulated day get ids that lie in one slice, which then goes to the home and back. Both
servers, and the process that applies the projections of both, share the cores of this machine.
"""

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from children import limited
from ground import database, say, server, settle
from ingest_bulk import record
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


def move(home: str, target: int) -> tuple[MovedSlice, dict[str, float]]:
    """Move the slice; returns what the command says, and the seconds of each step."""
    began: dict[str, float] = {}

    def note(progress: MoveProgress) -> None:
        began.setdefault(progress.step, time.perf_counter())

    keyring = FileKeyring(Path(os.environ["OFFERLOG_KEYRING"]))
    with Installation(None, home, keyring) as installation:
        moved = installation.move(SLICE, target, note)
    times = [*(began[step] for step in STEPS), time.perf_counter()]
    return moved, {step: end - at for step, at, end in zip(STEPS, times, times[1:], strict=False)}


def main(sizes: tuple[int, ...]) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    with ExitStack() as held:
        servers = [held.enter_context(server()) for _ in range(2)]
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        os.environ["PGPASSFILE"] = str(write_passwords(folder / "passwords", servers))
        for visitors in sizes:
            lines = day(visitors)
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
                for target in (0, 1):
                    moved, steps = move(stores[0], target)
                    name = f"{moved.events:,} events, {'back' if target else 'there'}"
                    figures |= {f"{name}: {step}, s": seconds for step, seconds in steps.items()}
                    figures[f"{name}: without an owner, ms"] = moved.seconds * 1_000
                    figures[f"{name}: events/s copied"] = moved.events / steps["copying"]
    say("move", figures, {})


if __name__ == "__main__":
    with limited():
        main(tuple(map(int, sys.argv[1:])) or SIZES)
