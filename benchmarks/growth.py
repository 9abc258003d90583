"""ingest-one and look-ups with 0.1 and 1 million stored events (10 with --full): do they get slower?

ingest-one is measured twice: right behind a checkpoint, when PostgreSQL logs whole every page that is touched
for the first time, and after that. A quarter of the events are ends, which the suppression list holds.
"""

import random
import sys
import uuid

import lookup
import psycopg
from children import limited
from ground import database, say, server, settle
from ingest_one import CALLERS, rate
from suppressed import fill
from traffic import lifecycles

from offerlog_infrastructure.composition import open_offerlog

_FILL = """
    INSERT INTO offerlog_events (originator_version, originator_id, topic, state)
    SELECT 1, (
        encode(int8send(
            n << 60 | (1700000000 + n / 100) << 28 | (n * 7919 & 4095) << 16 | 32768 | (n * 31 & 4095)
        ), 'hex')
        || '8' || substr(md5(n::text), 1, 15)
    )::uuid, 'offered.2', %s
    FROM generate_series(%s::bigint, %s::bigint) AS n
"""
"""Streams as they come in time, a hundred a second, in all slices."""


KINDS = ("behind a checkpoint", "ingest-one", "look-ups")


def main(sizes: list[int]) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    filler = uuid.uuid4().bytes * 11  # as long as a state is; never read: nobody has these ids
    chosen = random.Random(7)  # noqa: S311 - a sample
    with server() as dsn:
        ours = database(dsn)
        stored = 0
        for size in sizes:
            with psycopg.connect(ours, autocommit=True) as connection:
                connection.execute(_FILL, (filler, stored + 1, size))
                fill(ours, size // 4, stored // 4)
                connection.execute("VACUUM ANALYZE offerlog_events, suppressions, visitors")
                connection.execute("CHECKPOINT")
            stored = size
            sent = list(lifecycles(24_000))
            visitors = [f"visitor-{chosen.randrange(size // 8)}" for _ in range(50_000)]
            settle()
            with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
                rate(service, sent[:1_000], CALLERS)
                measured = (
                    rate(service, sent[1_000:6_000], CALLERS),
                    rate(service, sent[6_000:], CALLERS),
                    lookup.rate(service.suppressions, visitors)[0],
                )
            figures |= {f"{kind}/s at {size:,}": rate for kind, rate in zip(KINDS, measured, strict=True)}
    first, last = f"{sizes[0]:,}", f"{sizes[-1]:,}"
    ratios = {
        f"{kind}, last vs first": figures[f"{kind}/s at {last}"] / figures[f"{kind}/s at {first}"]
        for kind in KINDS
    }
    say("growth", figures, ratios)


if __name__ == "__main__":
    with limited():
        main([100_000, 1_000_000, *([10_000_000] if "--full" in sys.argv else [])])
