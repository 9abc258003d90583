"""ingest-one with 0.1 and 1 million stored events (10 with --full): does it get slower?

Measured twice: right behind a checkpoint, when PostgreSQL writes whole every page that is touched for the
first time, and after that.
"""

import sys
import uuid

import psycopg
from ground import database, say, server, settle
from ingest_one import CALLERS, rate
from traffic import lifecycles

from offerlog_infrastructure.composition import open_offerlog

_FILL = """
    INSERT INTO offerlog_events (originator_version, originator_id, topic, state)
    SELECT version, gen_random_uuid(), 'offered.1', %s
    FROM generate_series(1, %s) AS n CROSS JOIN (VALUES (1)) AS v (version)
"""


def main(sizes: list[int]) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    filler = uuid.uuid4().bytes * 9  # as long as a state is; never read: nobody has these ids
    with server() as dsn:
        ours = database(dsn)
        stored = 0
        for size in sizes:
            with psycopg.connect(ours, autocommit=True) as connection:
                connection.execute(_FILL, (filler, size - stored))
                connection.execute("VACUUM ANALYZE offerlog_events")
                connection.execute("CHECKPOINT")
            stored = size
            sent = list(lifecycles(24_000))
            settle()
            with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
                rate(service, sent[:1_000], CALLERS)
                figures[f"signals/s at {size:,}, behind a checkpoint"] = rate(
                    service, sent[1_000:6_000], CALLERS
                )
                figures[f"signals/s at {size:,}, after that"] = rate(service, sent[6_000:], CALLERS)
    say(
        "growth",
        figures,
        {
            f"last vs first, {when}": figures[f"signals/s at {sizes[-1]:,}, {when}"]
            / figures[f"signals/s at {sizes[0]:,}, {when}"]
            for when in ("behind a checkpoint", "after that")
        },
    )


if __name__ == "__main__":
    main([100_000, 1_000_000, *([10_000_000] if "--full" in sys.argv else [])])
