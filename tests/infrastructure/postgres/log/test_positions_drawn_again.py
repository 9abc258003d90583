"""After a crash of the server, positions that were given up are drawn again: no reader passes them over.

A crash may lose the sequence's last WAL. Here its last value is set back while nobody is connected, which
leaves the same state behind.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from support.positions import number_of
from support.recount import rows, until

SEQUENCE = "offerlog.log_positions"
MAP = str(uuid.uuid4())
GATE = 4711
_GIVEN_UP = """
    INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
    SELECT gen_random_uuid(), 1, 'topic', '' FROM generate_series(1, %s)
"""
_INSERT = """
    INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
    VALUES (gen_random_uuid(), 1, %s, '')
"""
_AWAIT_GATE = f"""
    CREATE FUNCTION await_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        WHILE NOT pg_try_advisory_xact_lock_shared({GATE}) LOOP PERFORM pg_sleep(0.01); END LOOP;
        RETURN NULL;
    END $$
""".encode()
"""It does not wait for a lock: that wait would have the service's time limit."""


def rejected(visitor: str) -> list[bytes]:
    """An offer that was made and turned down."""
    ids = {"actionId": str(uuid.uuid4()), "actionMapId": MAP, "sessionId": str(uuid.uuid4())}
    return [
        json.dumps({**ids, "customerId": visitor, "actionState": state}).encode()
        for state in ("offered", "rejected")
    ]


def connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection beside the service's."""
    return psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", connect_timeout=20)


def give_up(dsn: str, positions: int) -> None:
    """Draw positions and roll back, as an append does that failed."""
    with connect(dsn) as connection:
        connection.execute(_GIVEN_UP, (positions,))
        connection.rollback()


def lose_the_sequences_end(dsn: str) -> None:
    """The sequence is where the last committed event lies, as after a crash."""
    with connect(dsn) as connection:
        connection.execute(
            "SELECT setval(%s, coalesce((SELECT max(notification_id) FROM offerlog_events), 1),"
            " EXISTS (SELECT FROM offerlog_events))",
            (SEQUENCE,),
        )


@pytest.fixture
def gate(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection that keeps every append from committing until it is closed."""
    with open_offerlog(database_url=dsn, keep_deadlines=False):
        pass  # makes the tables
    with closing(connect(dsn)) as connection:
        connection.execute(_AWAIT_GATE)
        connection.execute(
            "CREATE CONSTRAINT TRIGGER await_gate AFTER INSERT ON offerlog_events"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION await_gate()"
        )
        connection.commit()
        yield connection


def seen(dsn: str, activity: str) -> bool:
    """Whether another session of this database does that."""
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return bool(rows(dsn, f"{others} AND {activity}"))


def waiting_at_the_gate(dsn: str) -> bool:
    """Whether an append stands before its commit."""
    return seen(dsn, "wait_event = 'PgSleep'")


def looked_at_writers(dsn: str) -> bool:
    """Whether a reader of the log has connected and looked for its horizon."""
    return seen(dsn, "query LIKE '%pg_locks%RowExclusiveLock%'")


def test_the_replica_keeps_no_position_without_an_event(
    dsn: str, gate: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    """Suppressions that are in flight while it connects again are not passed over."""
    folder = tmp_path / "replica"
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
        service.wait(service.record(rejected("before")).position)
        give_up(dsn, 5)
        time.sleep(0.5)  # the replica looks fifty times a second
    lose_the_sequences_end(dsn)
    gate.execute(f"SELECT pg_advisory_lock({GATE})".encode())
    gate.commit()
    visitors = [f"after-{n}" for n in range(10)]
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as writer,
        ThreadPoolExecutor() as threads,
    ):
        receipt = writer.submit([signal for visitor in visitors for signal in rejected(visitor)])
        until(lambda: waiting_at_the_gate(dsn))
        opening = threads.submit(open_offerlog, database_url=dsn, keep_deadlines=False, replica=folder)
        until(lambda: looked_at_writers(dsn), 60)
        gate.execute(f"SELECT pg_advisory_unlock({GATE})".encode())
        gate.commit()
        position = number_of(receipt.result(30).position)
        with opening.result(60) as service:
            service.wait(position)
            until(lambda: service.local_suppressions("before").position >= position)
            assert [len(service.local_suppressions(visitor).suppressions) for visitor in visitors] == [1] * 10


def test_a_reader_of_the_log_keeps_no_horizon_across_connections(dsn: str) -> None:
    """An event that is committed behind a later one is not passed over."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False):
        pass
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        give_up(dsn, 5)
        assert application.log.select_notifications(None, 10) == []
        with connect(dsn) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        lose_the_sequences_end(dsn)
        with closing(connect(dsn)) as slow, connect(dsn) as quick:
            slow.execute(_INSERT, ("slow",))
            quick.execute(_INSERT, ("quick",))
            quick.commit()
            read: list[str] = []
            reader = threading.Thread(
                target=lambda: read.extend(n.topic for n in application.log.select_notifications(None, 10))
            )
            reader.start()
            time.sleep(0.5)
            slow.commit()
            reader.join(30)
            assert not reader.is_alive()
    assert read in (["slow", "quick"], [])
