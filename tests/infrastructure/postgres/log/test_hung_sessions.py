"""A process of ours that stands still in the middle of a COPY holds up nobody for long."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log import hung_sessions
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from support.journeys import journeys
from support.recount import recounted, shown, until

COPY_EVENTS = "COPY offerlog_events (originator_version, originator_id, topic, state) FROM STDIN"
COPY_VISITORS = "COPY visitors (token, digest, kek, organization, wrapped_key, names) FROM STDIN"
COPY_STAGE = "COPY stage FROM STDIN"
WRITTEN = "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables ORDER BY relid"
LOCKED = "SELECT application_name, xmax::text FROM offerlog.offerlog_tracking ORDER BY 1"
Session = psycopg.Connection[tuple[object, ...]]


@contextmanager
def standing_still(dsn: str, prepare: Callable[[Session], object], copy: str) -> Iterator[Session]:
    """A session of a process that was stopped (`kill -STOP`) after it had sent part of a COPY."""
    begun, go_on = threading.Event(), threading.Event()
    session = psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", connect_timeout=20)

    def run() -> None:
        try:
            prepare(session)
            with session.cursor() as cursor, cursor.copy(copy.encode()) as sending:
                sending.write(b"")
                begun.set()
                go_on.wait(90)
        except psycopg.Error:
            pass  # it has been ended meanwhile, as it should
        begun.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(30)
        yield session
    finally:
        go_on.set()
        thread.join(30)
        session.close()


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test waits for three seconds instead of ten."""
    monkeypatch.setattr(hung_sessions, "HUNG_SECONDS", 3)


def test_an_owner_of_the_views_that_stands_still_is_taken_over(dsn: str) -> None:
    """Within seconds, and nothing is counted twice."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as before:
        last = before.record(journeys(40)).position

    def own(session: Session) -> None:
        for number in range(3):
            session.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_SPACE, number))
        session.execute("SELECT FROM offerlog_tracking FOR UPDATE")
        session.execute("CREATE TEMPORARY TABLE stage (n int)")

    with (
        standing_still(dsn, own, COPY_STAGE),
        open_offerlog(database_url=dsn, keep_deadlines=False) as service,
    ):
        service.wait(last, timeout=20)
        assert shown(service, dsn) == recounted(dsn)


@pytest.mark.parametrize("copy", [COPY_EVENTS, COPY_VISITORS])
def test_a_writer_that_stands_still_in_its_copy_holds_readers_up_for_seconds(dsn: str, copy: str) -> None:
    """Its session is ended, and what others have recorded shows."""

    def begin(session: Session) -> None:
        """Do what an append does before it copies new visitors: it copies their events."""
        if copy == COPY_VISITORS:
            session.execute(
                "INSERT INTO offerlog_events (originator_version, originator_id, topic, state)"
                " VALUES (1, gen_random_uuid(), 'x', '')"
            )

    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as service,
        standing_still(dsn, begin, copy),
    ):
        service.wait(service.record(journeys(40)).position, timeout=20)
        assert shown(service, dsn) == recounted(dsn)


def test_a_session_that_works_is_left_alone(dsn: str) -> None:
    """A slow statement of a writer waits for nothing from its client."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(service.record(journeys(10)).position)
        with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", connect_timeout=20) as session:
            session.execute("LOCK TABLE offerlog_events IN ROW EXCLUSIVE MODE")
            session.execute("SELECT pg_sleep(6)")
            session.rollback()
        until(lambda: service.position() > 0)


def test_an_idle_service_writes_nothing(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is written or locked while nothing happens, however often the log is looked at."""
    monkeypatch.setattr("offerlog_infrastructure.postgres.projections.projector._LOOK_SECONDS", 0.02)
    with open_offerlog(database_url=dsn) as service:
        service.wait(service.record(journeys(10)).position)
        time.sleep(2.5)  # a session tells its figures about once a second
        with psycopg.connect(dsn, autocommit=True, connect_timeout=20) as session:
            written, locked = session.execute(WRITTEN).fetchall(), session.execute(LOCKED).fetchall()
            time.sleep(3)
            assert session.execute(WRITTEN).fetchall() == written
            assert session.execute(LOCKED).fetchall() == locked
