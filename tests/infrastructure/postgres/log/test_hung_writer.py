"""A writer of another process hangs in its transaction: what it holds waits, and nobody else."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.held_streams import HeldKey, HeldStreamsFinder
from support.journeys import signal
from support.recount import event_ids, rows

NEXT = (
    "SELECT originator_id, originator_version + 1, topic, state FROM offerlog_events ORDER BY originator_id"
)
INTO = "offerlog_events (originator_id, originator_version, topic, state)"
TAKE = f"INSERT INTO {INTO} VALUES (%s, %s, 'x', '')".encode()  # noqa: S608 - constants alone

Hung = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def connected(dsn: str) -> Iterator[Hung]:
    """A connection of somebody else's; whatever it has not committed is rolled back at the end."""
    connection = psycopg.connect(dsn, options=f"-c search_path={SCHEMA}")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def idle_in_its_transaction(dsn: str) -> Iterator[None]:
    """Somebody holds the next version of every visitor-offer, and does nothing."""
    with connected(dsn) as hung:
        hung.execute(f"INSERT INTO {INTO} {NEXT}".encode())
        yield


@contextmanager
def stopped_in_its_copy(dsn: str) -> Iterator[None]:
    """The same by COPY, of which the end never comes; the server counts it as busy."""
    with connected(dsn) as hung:
        wanted = hung.execute(NEXT.encode()).fetchall()
        with (
            suppress(psycopg.OperationalError),
            hung.cursor() as cursor,
            cursor.copy(f"COPY {INTO} FROM STDIN".encode()) as copy,
        ):
            for row in wanted:
                copy.write_row(row)
            for _ in range(2_000):  # the server puts rows into the table a thousand at a time
                copy.write_row((wanted[0][0], 1_000_000 + _, "x", b""))
            for _ in range(1_000):  # what the driver still has must get there
                if not hung.pgconn.flush():
                    break
                time.sleep(0.01)
            until_held(dsn, wanted[-1][0], wanted[-1][1])
            yield
            hung.close()  # the copy fails, as it must


def until_held(dsn: str, stream: object, version: int) -> None:
    """Wait until somebody holds that version."""
    for _ in range(200):
        with connected(dsn) as probe:
            probe.execute("SET lock_timeout = '5ms'")
            try:
                probe.execute(TAKE, (stream, version))
            except psycopg.errors.LockNotAvailable:
                return
        time.sleep(0.05)
    raise AssertionError("the hung writer never got that far")


@pytest.mark.parametrize("hangs", [idle_in_its_transaction, stopped_in_its_copy])
@pytest.mark.parametrize("number", [200, 2_600])
def test_an_unrelated_signal_waits_for_a_moment_however_much_is_held(
    dsn: str, offerlog: Offerlog, number: int, hangs: Callable[[str], Any]
) -> None:
    """One lock timeout and one search for what is held, not one lock timeout for each visitor-offer.

    It is half a second on a quiet machine. The bound is generous, for busy ones: with one lock timeout each,
    200 took nine seconds and 2,600 six minutes.
    """
    # given visitor-offers that another writer holds, whose clients send their signals here
    offerlog.record([signal("offered", visitor=n) for n in range(number)])
    with hangs(dsn):
        stuck = [offerlog.submit([signal("accepted", visitor=n)]) for n in range(number)]
        # when somebody else sends a signal, of the same organization or of another
        began = time.monotonic()
        same = offerlog.submit([signal("offered", visitor="free")])
        other = offerlog.submit([signal("offered", visitor="else")], organization="other")
        # then it waits for a moment
        assert same.result(timeout=30).outcomes[0].kind == "recorded"
        assert other.result(timeout=30).outcomes[0].kind == "recorded"
        assert time.monotonic() - began < 3
        assert not all(future.done() for future in stuck)
        assert offerlog.writer_health().alive
    # and when the hung writer is gone, all that it held is recorded once
    assert {future.result(timeout=60).outcomes[0].kind.value for future in stuck} == {"recorded"}
    assert set(event_ids(dsn).values()) == {1}


def test_signals_of_a_held_visitor_offer_keep_their_order(dsn: str, offerlog: Offerlog) -> None:
    """What comes while it is held waits behind what came before."""
    offerlog.record([signal("offered", visitor=n) for n in range(30)])
    with idle_in_its_transaction(dsn):
        futures = [
            offerlog.submit([signal(state, visitor=n)])
            for state in ("accepted", "started", "engaged")
            for n in range(30)
        ]
        offerlog.record([signal("offered", visitor="free")])
    assert {future.result(timeout=60).outcomes[0].kind.value for future in futures} == {"recorded"}
    topics = "SELECT count(*) FROM offerlog_events WHERE topic LIKE '%%parked%%'"
    assert rows(dsn, topics) == [(0,)]


def test_what_is_held_is_found_and_what_is_free_is_left_as_it_was(dsn: str, offerlog: Offerlog) -> None:
    """On one connection or several; what cannot be looked at in time is unknown."""
    offerlog.record([signal("offered", visitor=n) for n in range(120)])
    wanted = {stream: version for stream, version, _, _ in rows(dsn, NEXT)}
    streams = list(wanted)
    before = rows(dsn, "SELECT count(*) FROM offerlog_events")
    with closing(OfferlogApplication(dsn, SCHEMA)) as application, connected(dsn) as hung:
        finder = HeldStreamsFinder(application.connect)
        hung.cursor().executemany(TAKE, [(stream, wanted[stream]) for stream in streams[::3]])
        # when they are looked at, then exactly the held ones are found
        keys = [HeldKey(stream, stream, version) for stream, version in wanted.items()]
        for urgent in (False, True):
            found = finder.find(keys, 30, urgent=urgent)
            assert found.held == set(streams[::3])
            assert not found.unknown
        # and without time, nothing is said of any
        assert finder.find(keys, 0, urgent=False).unknown == set(streams)
        finder.release()
    assert rows(dsn, "SELECT count(*) FROM offerlog_events") == before
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        answer = service.record([signal("accepted", visitor=n) for n in range(120)])
    assert {outcome.kind.value for outcome in answer.outcomes} == {"recorded"}
