"""What each stored event costs: bytes of state, and all in with row and indexes, beside plain JSON."""

import sys

import msgspec
import psycopg
from children import limited
from ground import database, say, server
from ingest_bulk import record
from traffic import day

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.log.mapper import EventMapper

_SIZES = """
    SELECT count(*), avg(octet_length(state)), pg_table_size('offerlog_events') / count(*),
        pg_indexes_size('offerlog_events') / count(*), pg_total_relation_size('offerlog_events') / count(*)
    FROM offerlog_events
"""


def main(visitors: int) -> None:
    """Measure and print."""
    with server() as dsn:
        ours = database(dsn)
        with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
            record(service, day(visitors), 1)
        with psycopg.connect(ours) as connection:
            found = connection.execute(_SIZES).fetchone()
            assert found is not None
            read = EventMapper().event
            rows = connection.execute(
                "SELECT originator_id, originator_version, topic, state FROM offerlog_events LIMIT 5000"
            ).fetchall()
    events = [read(stream, version, topic, bytes(state)) for stream, version, topic, state in rows]
    # JSON of the public fields, and the sealed ones as long as their ciphertext is, without nonce and tag
    plain = sum(len(msgspec.json.encode(one.event)) + len(one.sealed) - SEAL_BYTES for one in events) / len(
        events
    )
    names = ("events", "state, bytes", "row, bytes", "indexes, bytes", "all in, bytes")
    figures = dict(zip(names, map(float, found), strict=True)) | {"state as plain JSON, bytes": plain}
    say("size", figures, {"state vs_json": figures["state, bytes"] / plain})


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
