"""Readers that tail the log while writers write: nothing passed over, nothing twice."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import Notification, StoredEvent

from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from support.processes import finish
from support.recount import rows, until

_INSERT: Final = b"""
    INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
    SELECT gen_random_uuid(), 1, 'topic', '' FROM generate_series(1, %s)
"""

SOAK_SECONDS: Final = float(os.environ.get("OFFERLOG_SOAK_SECONDS", "4"))
"""How long the writers write: short in CI, long in `make soak-readers`."""

Page = Callable[[int], list[int]]
"""Gives the positions that follow one."""


@contextmanager
def opened(dsn: str) -> Iterator[OfferlogApplication]:
    """An application of one's own, as another process would have it."""
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        yield application


def connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that writes behind the library's back."""
    return psycopg.connect(dsn, options=f"-c search_path={SCHEMA}")


def event() -> StoredEvent:
    """Something to write."""
    return StoredEvent(uuid4(), 1, "topic", b"")


def ids(notifications: object) -> list[int]:
    """The positions of a page."""
    assert isinstance(notifications, list)
    return [n.id for n in notifications if isinstance(n, Notification)]


class Traffic:
    """Ten writers: eight with ordinary transactions of random length, one that hangs, one that is killed."""

    def __init__(self, dsn: str, seconds: float) -> None:
        self._dsn = dsn
        self._until = time.monotonic() + seconds
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(7)]
        self._threads += [threading.Thread(target=run) for run in (self._record, self._hang, self._be_killed)]
        for thread in self._threads:
            thread.start()

    def going_on(self) -> bool:
        """Whether anything may still be written."""
        return any(thread.is_alive() for thread in self._threads)

    def _write(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - chance in a test, no secret
        with connect(self._dsn) as connection:
            while time.monotonic() < self._until:
                connection.execute(_INSERT, (chance.randint(1, 20),))
                time.sleep(chance.random() * 0.02)
                connection.rollback() if chance.random() < 0.1 else connection.commit()

    def _record(self) -> None:
        with opened(self._dsn) as application:
            while time.monotonic() < self._until:
                application.log.insert_events([event() for _ in range(50)])

    def _hang(self) -> None:
        with connect(self._dsn) as connection:
            while time.monotonic() < self._until:
                connection.execute(_INSERT, (3,))
                time.sleep(1)
                connection.commit()
                time.sleep(0.3)

    def _be_killed(self) -> None:
        while time.monotonic() < self._until:
            with suppress(psycopg.OperationalError), connect(self._dsn) as connection:
                connection.execute(_INSERT, (5,))
                rows(self._dsn, "SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
                connection.commit()
            time.sleep(0.05)


def tailed(page: Page, going_on: Callable[[], bool]) -> list[int]:
    """All that a reader gets that follows the log until the writers have ended."""
    got: list[int] = []
    last_round = False
    while True:
        new = page(got[-1] if got else 0)
        got += new
        if not new:
            if last_round:
                return got
            last_round = not going_on()
            time.sleep(0.001)


def follow(dsn: str, seconds: float, pages: list[Page]) -> tuple[list[int], list[list[int]]]:
    """What the log holds after some seconds of traffic, and what each reader got."""
    traffic = Traffic(dsn, seconds)
    got: list[list[int]] = [[] for _ in pages]

    def read(n: int) -> None:
        got[n] = tailed(pages[n], traffic.going_on)

    readers = [threading.Thread(target=read, args=(n,)) for n in range(len(pages))]
    for reader in readers:
        reader.start()
    for reader in readers:
        finish(reader)
    held = rows(dsn, "SELECT notification_id FROM offerlog_events ORDER BY 1")
    return [position for (position,) in held], got


def careful(application: OfferlogApplication) -> Page:
    """A reader as the library has it, through our recorder."""
    log = application.log
    return lambda last: ids(log.select_notifications(last, 500, inclusive_of_start=False))


def test_two_readers_miss_nothing_and_double_nothing(dsn: str) -> None:
    """Ten writers, some rolling back, one hanging a second in its transaction, one killed in it."""
    with opened(dsn) as one, opened(dsn) as other:
        held, got = follow(dsn, SOAK_SECONDS, [careful(one), careful(other)])
    print(f"{len(held):,} events, {held[-1] - len(held):,} dead positions passed")  # noqa: T201 - for make soak-readers
    assert len(held) > 1_000
    assert held[-1] > len(held)  # some positions are dead
    for reader in got:
        assert reader == held


def test_an_undecided_position_is_not_passed_over(dsn: str) -> None:
    """A later position is visible at once, but waits until an earlier one is committed."""
    with opened(dsn) as application, connect(dsn) as hanging:
        hanging.execute(_INSERT, (1,))
        (later,) = application.log.insert_events([event()]) or ()
        page = careful(application)
        with threading_timer(hanging.commit):
            until(lambda: page(0))  # it is empty, or waits itself
        assert page(0) == [later - 1, later]


@contextmanager
def threading_timer(act: Callable[[], None]) -> Iterator[None]:
    """Does something half a second later, and waits for it in the end."""
    timer = threading.Timer(0.5, act)
    timer.start()
    yield
    finish(timer)


def is_settled(application: OfferlogApplication) -> bool:
    """Whether every connection of the pool has been made and is free."""
    stats = application.log.datastore.pool.get_stats()
    return stats["pool_size"] == stats["pool_available"]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_a_reader_goes_on_once_the_writer_has_decided(dsn: str, end: str) -> None:
    """However a transaction ends, readers get everything that is there, on whichever connection they read."""
    with opened(dsn) as application:
        page = careful(application)
        application.log.insert_events([event()])
        until(lambda: is_settled(application))  # a connection made behind a look has to look itself
        assert page(0) == [1]
        hanging = connect(dsn)
        hanging.execute(_INSERT, (2,))
        application.log.insert_events([event()])
        assert page(1) == []
        getattr(hanging, end)()
        until(lambda: page(1))
        assert page(1) == ([2, 3, 4] if end == "commit" else [4])
        hanging.close()


def test_transactions_that_write_no_events_delay_no_reader(dsn: str) -> None:
    """A long report or a hanging session elsewhere is no reason to wait."""
    with opened(dsn) as application, connect(dsn) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id(), count(*) FROM offerlog_events")
        elsewhere.execute("INSERT INTO organizations VALUES ('elsewhere', decode(repeat('00', 32), 'hex'))")
        application.log.insert_events([event()])
        assert careful(application)(0) == [1]


def test_a_hanging_writer_is_ended_by_the_server(dsn: str) -> None:
    """Connections of the application's pool may not sit in a transaction for long."""
    with opened(dsn) as application, application.log.datastore.get_connection() as connection:
        row = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert row == {"idle_in_transaction_session_timeout": "10s"}
