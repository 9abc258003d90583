"""Bytes that a stored event takes: in the log, in Parquet, and blanked after an erasure; beside JSON."""

import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import psycopg
from children import limited
from ground import database, say, server
from ingest_bulk import record
from traffic import day

from offerlog_application.ports.slices import SliceBounds
from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.postgres.erasure.blanking import blank_events
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.projections.slice_source import PostgresSliceSource
from offerlog_infrastructure.replaying.slice_files import SliceTask, write_slice
from offerlog_infrastructure.settings import read_store_settings

_SIZES = """
    WITH sizes AS (
        SELECT sum(pg_table_size(relid)) AS rows, sum(pg_indexes_size(relid)) AS indexes
        FROM pg_partition_tree('offerlog_events')
    )
    SELECT count(*), avg(octet_length(state)), avg(sizes.rows) / count(*), avg(sizes.indexes) / count(*),
        pg_total_relation_size('visitors')::float8 / count(*),
        (avg(sizes.rows + sizes.indexes) + pg_total_relation_size('visitors')) / count(*)
    FROM offerlog_events, sizes
"""
_SELECT_EVENTS = """
    SELECT v.token, v.kek, v.wrapped_key, e.originator_id, e.originator_version, e.topic, e.state
    FROM offerlog_events e JOIN visitors v
        ON v.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
    LIMIT 5000
"""
_NO_TASK = SliceTask({}, {}, "")
_BLANKED = ("state, bytes", "rows, bytes", "indexes, bytes")
_EVERYTHING = 2**62
_NAMES = ("events", "state, bytes", "rows, bytes", "indexes, bytes", "visitors, bytes", "all in, bytes")


def opened(dsn: str) -> list[tuple[Event, PrivateFields]]:
    """Some events of the log, with their private fields."""
    found = []
    keyring = FileKeyring(read_store_settings().keyring)
    with (
        psycopg.connect(dsn) as connection,
        closing(OfferlogApplication(dsn, SCHEMA, keyring=keyring)) as application,
    ):
        for token, kek, wrapped_key, stream, version, topic, state in connection.execute(_SELECT_EVENTS):
            del token
            key = OpenStream(stream, application.visitor_keys.sealer(kek, bytes(wrapped_key)))
            one = application.event_mapper.open_event(stream, key, version, topic, bytes(state))
            found.append((one.event, one.private))
    return found


def measure_log(dsn: str) -> dict[str, float]:
    """Bytes an event in the log, without free space."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM FULL offerlog_events")
        found = connection.execute(_SIZES).fetchone()
    assert found is not None
    return dict(zip(_NAMES, map(float, found), strict=True))


def measure_parquet(dsn: str) -> float:
    """Bytes an event in the files of a replay."""
    keyring = FileKeyring(read_store_settings().keyring)
    size = events = 0
    with (
        TemporaryDirectory(prefix="offerlog-bench-") as folder,
        closing(OfferlogApplication(dsn, SCHEMA, keyring=keyring)) as application,
    ):
        source = PostgresSliceSource(application)
        for number, (low, high) in enumerate(source.divide(1)):
            path = Path(folder) / f"{number}.parquet"
            events += write_slice(path, _NO_TASK, source.read(SliceBounds(low, high), _EVERYTHING)).events
            size += path.stat().st_size
    return size / events


def blank_all(dsn: str) -> None:
    """Blank the sealed parts of all visitors, as an erasure does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for (token,) in connection.execute("SELECT token FROM visitors").fetchall():
            blank_events(connection, token)


def main(visitors: int) -> None:
    """Measure and print."""
    with server() as dsn:
        ours = database(dsn)
        with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
            record(service, day(visitors), 1)
        figures = measure_log(ours)
        figures["in Parquet, bytes"] = measure_parquet(ours)
        events = opened(ours)
        blank_all(ours)
        blanked = measure_log(ours)
        figures |= {f"blanked: {name}": blanked[name] for name in _BLANKED}
        figures["blanked: in Parquet, bytes"] = measure_parquet(ours)
    plain = sum(len(msgspec.json.encode(one)) for one in events) / len(events)
    figures["state as plain JSON, bytes"] = plain
    say("size", figures, {"state vs_json": figures["state, bytes"] / plain})


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
