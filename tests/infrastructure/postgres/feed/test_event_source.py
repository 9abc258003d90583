"""Followers of the log on PostgreSQL: nothing is missed or repeated, and damage holds up nobody."""

import threading
import time
from contextlib import closing
from typing import Final

import psycopg
import pytest

from offerlog import Offerlog, UnreadableEventError
from offerlog_application.feed.reading_feed import FeedPage
from offerlog_application.ports.event_source import LogPage, LogRow
from offerlog_application.ports.positions import LogPosition
from offerlog_application.reading.exports import ExportRequest
from offerlog_application.reading.read_budget import ReadTimeoutError
from offerlog_domain.event_fields import Event
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.feed import event_source
from offerlog_infrastructure.postgres.feed.event_source import PostgresEventSource
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from support.journeys import journeys

ENOUGH: Final = 1_000
"""The writers write until so many events were followed, or for `MOST_SECONDS`."""

MOST_SECONDS: Final = 30.0

_COPY_EVENTS: Final = """
    INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
    SELECT gen_random_uuid(), 1, topic, state FROM offerlog_events WHERE notification_id <= 10
"""


def connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that writes behind the service's back."""
    return psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", connect_timeout=20)


def write(dsn: str, number: int, is_enough: threading.Event, until: float) -> None:
    """Commit copies of events in transactions of varied length; every fifth one is rolled back."""
    with connect(dsn) as connection:
        turn = number
        while not is_enough.is_set() and time.monotonic() < until:
            connection.execute(_COPY_EVENTS)
            time.sleep(0.003 * (turn % 7))
            connection.rollback() if turn % 5 == 0 else connection.commit()
            turn += 1


def test_no_event_is_missed_or_repeated_beside_concurrent_writers(offerlog: Offerlog, dsn: str) -> None:
    """Positions become visible out of order there. The follower loses its connection meanwhile, too."""
    # given
    offerlog.record(journeys(10))
    is_enough, until = threading.Event(), time.monotonic() + MOST_SECONDS
    writers = [threading.Thread(target=write, args=(dsn, number, is_enough, until)) for number in range(6)]
    found: list[LogRow] = []
    # when
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        source = PostgresEventSource(application)
        for writer in writers:
            writer.start()
        position: LogPosition = 0
        cuts = 0
        while True:
            is_traffic_over = not any(writer.is_alive() for writer in writers)
            page = source.read_page(position, 50)
            found += page.rows
            position = page.position
            if len(found) // 400 > cuts and source._connection is not None:
                cuts += 1
                source._connection.close()
            if len(found) > ENOUGH:
                is_enough.set()
            if page.is_end and is_traffic_over:
                break
        source.close()
    for writer in writers:
        writer.join(10)
    # then
    with connect(dsn) as connection:
        stored = connection.execute("SELECT notification_id FROM offerlog_events ORDER BY 1").fetchall()
    assert [row.position for row in found] == [position for (position,) in stored]
    assert len(found) > ENOUGH
    assert cuts > 0


def test_what_is_not_committed_yet_is_not_passed_over(offerlog: Offerlog, dsn: str) -> None:
    """A page ends before it, however much was committed behind it; the next page continues there."""
    # given
    offerlog.record(journeys(10))
    last = offerlog.feed.page().position
    with connect(dsn) as slow:
        slow.execute(_COPY_EVENTS)
        offerlog.record(journeys(20))
        # when
        began = time.monotonic()
        page = offerlog.feed.page(last, settling_seconds=0.1)
        took = time.monotonic() - began
        slow.rollback()
    # then
    assert page == FeedPage([], last, is_end=True)
    assert took < 5
    later = offerlog.feed.page(last)
    assert later.events
    assert later.is_end


def test_the_end_of_the_log_is_never_taken_for_its_beginning(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection beside a writer that hangs knows no horizon: nothing may look like an empty log."""
    # given
    offerlog.record(journeys(10))
    monkeypatch.setattr(event_source, "SETTLING_SECONDS", 0.01)
    with closing(OfferlogApplication(dsn, SCHEMA)) as application, connect(dsn) as slow:
        source = PostgresEventSource(application)
        slow.execute(_COPY_EVENTS)
        # when
        with monkeypatch.context() as patience:
            patience.setattr(event_source, "_FIRST_HORIZON_SECONDS", 0.05)
            with pytest.raises(ReadTimeoutError):
                source.find_end()
            with pytest.raises(ReadTimeoutError):
                source.read_page(0, 10, settling_seconds=0.01)
        at_once = source.read_page(0, 10, settling_seconds=0.0)
        threading.Timer(0.2, slow.rollback).start()
        end = source.find_end()
        source.close()
        last = slow.execute("SELECT max(notification_id) FROM offerlog_events").fetchone()
    # then
    assert at_once == LogPage([], 0, is_end=True)
    assert (end,) == last, "also where the feed does not show the last event"


def test_an_export_that_loses_its_connection_beside_a_hung_writer_is_whole(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has all events up to the position that it names, as the next export goes on there."""
    # given
    offerlog.record(journeys(10))
    source = offerlog.exports._source
    assert isinstance(source, PostgresEventSource)
    monkeypatch.setattr("offerlog_application.reading.exports.MOST_EVENTS", 4)
    batches = offerlog.exports.events(ExportRequest()).batches
    # when
    rows = [*next(batches).rows]
    assert source._connection is not None
    source._connection.close()
    with connect(dsn) as slow:
        slow.execute(_COPY_EVENTS)
        threading.Timer(0.2, slow.rollback).start()
        rows += [row for batch in batches for row in batch.rows]
    # then
    assert [row[0] for row in rows] == [one.position for one in offerlog.events()]


def test_a_damaged_event_is_told_to_its_organization_and_an_unknown_kind_waits_for_a_newer_build(
    offerlog: Offerlog, dsn: str
) -> None:
    """A newer build can read the one, so nobody may pass it; no build can read the other."""
    # given
    offerlog.record(journeys(2))
    healthy = [*offerlog.events()]
    with connect(dsn) as connection:
        connection.execute("UPDATE offerlog_events SET state = '\\x00' WHERE notification_id = 2")
    # when
    damaged = [*offerlog.events(types=["engaged"])]
    with connect(dsn) as connection:
        connection.execute("UPDATE offerlog_events SET topic = 'offered.9' WHERE notification_id = 4")
    stopped = offerlog.events()
    before = [next(stopped) for _ in range(3)]
    # then
    engaged = [(one.position, one.name, one.subject) for one in healthy if one.name == "engaged"]
    assert [(one.position, one.name, one.subject) for one in damaged] == [
        (2, "unreadable", healthy[1].subject),
        *engaged,
    ]
    assert [one.position for one in before] == [1, 2, 3]
    with pytest.raises(UnreadableEventError, match=r"offered\.9"):
        next(stopped)
    assert isinstance(before[0].event, Event)
