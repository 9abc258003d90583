"""Which maps must not offer to this visitor? Over a million suppressed pairs, beside one prepared SELECT."""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg
from children import limited
from ground import database, percentile, say, server, settle
from suppressed import fill

from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.composition import open_offerlog

_SELECT = (
    "SELECT s.action_map_id, s.state, s.sealed, s.since FROM visitors v JOIN suppressions s"
    " ON s.visitor = v.token WHERE v.digest = %s"
)
SECONDS = 4.0

T = TypeVar("T")


def rate(ask: Callable[[T], object], visitors: list[T]) -> tuple[float, float]:
    """Look-ups a second by one thread, and the 99th percentile in milliseconds."""
    taken: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for visitor in visitors[len(taken) % len(visitors) :][:500]:
            before = time.perf_counter()
            ask(visitor)
            taken.append(time.perf_counter() - before)
    return len(taken) / (time.perf_counter() - began), percentile(taken, 0.99) * 1000


def main(pairs: int) -> None:
    """Measure and print."""
    figures: dict[str, float] = {"pairs": pairs}
    with tempfile.TemporaryDirectory(prefix="offerlog-replica-") as replica, server() as dsn:
        folder = Path(replica)
        ours = database(dsn)
        fill(ours, pairs)
        with psycopg.connect(ours, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE suppressions, visitors")
            digests = [digest for (digest,) in connection.execute("SELECT digest FROM visitors LIMIT 50000")]
        chosen = random.Random(7)  # noqa: S311 - a sample
        visitors = [f"visitor-{chosen.randrange(pairs // 2)}" for _ in range(50_000)]
        began = time.perf_counter()
        with open_offerlog(database_url=ours, keep_deadlines=False, replica=folder) as service:
            figures["replica made in, s"] = time.perf_counter() - began
            settle()
            with psycopg.connect(ours, autocommit=True) as connection:
                bare, figures["SELECT, p99 ms"] = rate(
                    lambda digest: connection.execute(_SELECT, (digest,), prepare=True).fetchall(),
                    digests,
                )
            ours_rate, figures["service, p99 ms"] = rate(service.suppressions, visitors)
            local, figures["replica, p99 ms"] = rate(service.local_suppressions, visitors)
            batches = [
                [VisitorKey("cookie", v) for v in visitors[n : n + 500]] for n in range(0, 50_000, 500)
            ]
            began = time.perf_counter()
            for batch in batches:
                service.suppressions_of(batch)
            batched = 50_000 / (time.perf_counter() - began)
            assert service.local_suppressions(visitors[0]).suppressions == tuple(
                service.suppressions(visitors[0])
            )
    figures |= {"SELECT /s": bare, "service /s": ours_rate, "service, 500 at once /s": batched}
    figures["replica /s"] = local
    ratios = {"vs_select": ours_rate / bare, "vs_select, 500 at once": batched / bare}
    say("lookup", figures, ratios | {"vs_select, replica": local / bare})


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
