"""A process beside the moves of a slice: it records signals steadily, and says how long each waited.

Every second signal is of a visitor of the slice that moves: many more than in one of 16 slices, so that some
come at each moment of the move. The answers are kept, and printed at the end.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain, count
from typing import Any

from children import DSN, end_with_parent
from traffic import lifecycles

from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.composition import open_offerlog

VISITORS = 200
"""Visitors of each kind, who come again and again."""


def names(service: ShardedOfferlog, shard: int, prefix: str) -> list[str]:
    """The ids of visitors whose slices are on a shard."""
    found = (f"{prefix}-{number}" for number in count())
    mine = (one for one in found if service.shards_of([VisitorKey("cookie", one)]) == {shard})
    return [next(mine) for _ in range(VISITORS)]


def signals(visitors: list[str]) -> Iterator[bytes]:
    """Whole lifecycles of these visitors in turn."""
    for number in count():
        for line in chain.from_iterable(lifecycles(1)):
            signal: dict[str, Any] = json.loads(line)
            yield json.dumps(signal | {"customerId": visitors[number % len(visitors)]}).encode()


def write(prefix: str, each_second: float) -> None:
    """Record until told to stop, and print the waits: when it began, the seconds, if it was of the slice."""
    word = end_with_parent()
    waits: list[tuple[float, float, bool]] = []
    failed: list[str] = []

    def note(began: float, done: PendingAnswer[Any], *, of_slice: bool) -> None:
        error = done.exception(0)
        if error is not None:
            failed.append(f"{type(error).__name__}: {error}")
        waits.append((began, time.monotonic() - began, of_slice))

    with open_offerlog(database_url=os.environ[DSN]) as service:
        assert isinstance(service, ShardedOfferlog)
        kinds = [signals(names(service, shard, prefix)) for shard in (1, 0)]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        due = time.monotonic()
        while not word.is_set():
            for of_slice, kind in zip((True, False), kinds, strict=True):
                due += 1 / each_second
                time.sleep(max(due - time.monotonic(), 0))
                line, began = next(kind), time.monotonic()
                service.hand_in([line]).add_done_callback(partial(note, began, of_slice=of_slice))
        service.record([])
        time.sleep(1)
    sys.stdout.write(json.dumps({"waits": waits, "failed": failed}) + "\n")
    sys.stdout.flush()
