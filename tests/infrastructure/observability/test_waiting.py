"""Waits that last are spoken of: what is waited for, since when, until when, and why."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from offerlog_application.ports.store_trouble import TroubleCounts
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.observability import waiting
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.connections import StorePool, connection_arguments, open_unlimited
from offerlog_infrastructure.postgres.local_disk import LocalDisk
from support.processes import finish
from support.recount import until

Lines = Callable[[], list[str]]


@pytest.fixture
def spoken_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What is said of waits, which are spoken of after a fifth of a second here."""
    monkeypatch.setattr(waiting, "_last_logged", {})
    monkeypatch.setattr(waiting, "_FIRST_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "_TICK_SECONDS", 0.02)
    name = waiting.__name__
    with caplog.at_level(logging.WARNING, logger=name):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == name]


def test_a_wait_says_what_it_is_for_and_until_when(spoken_lines: Lines) -> None:
    """Of waits inside each other the outermost speaks, and gives the others as the reason."""
    with announced("the ship", 60) as wait:
        wait.reason = lambda: "the lock is shut"
        with announced("the lock-keeper") as inner:
            inner.reason = "it is Sunday"
            until(spoken_lines)
            time.sleep(0.1)
    (line,) = spoken_lines()
    assert line == (
        "still waiting for the ship (0 seconds so far, at most 60): the lock is shut: the lock-keeper:"
        " it is Sunday"
    )


def test_a_reason_that_cannot_be_found_out_silences_nobody(spoken_lines: Lines) -> None:
    """Neither its own wait nor the next one."""

    def unknown() -> str:
        raise OSError("no such file")

    with announced("the ship") as wait:
        wait.reason = unknown
        until(lambda: len(spoken_lines()) == 1)
    with announced("the tide"):
        until(lambda: len(spoken_lines()) == 2)
    assert spoken_lines()[0] == "still waiting for the ship (why is not known: no such file)"


def test_a_short_wait_says_nothing(spoken_lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, one after the other."""
    monkeypatch.setattr(waiting, "_FIRST_SECONDS", 1.0)
    for _ in range(30):
        with announced("a moment"):
            time.sleep(0.04)
    assert spoken_lines() == []


def test_many_that_wait_for_one_thing_say_it_once(spoken_lines: Lines) -> None:
    """In an outage, each request of a service waits for a connection."""
    over = threading.Event()

    def wait() -> None:
        with announced("the bus"):
            over.wait(30)

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(spoken_lines)
    time.sleep(0.2)
    over.set()
    finish(*threads)
    assert len(spoken_lines()) == 1


def test_a_thread_of_ours_is_named(spoken_lines: Lines) -> None:
    """In the log of a service it says whose wait it is."""

    def wait() -> None:
        with announced("the tide"):
            until(spoken_lines)

    thread = threading.Thread(target=wait, name="offerlog-projector")
    thread.start()
    finish(thread)
    assert "thread offerlog-projector" in spoken_lines()[0]


def test_a_statement_that_takes_long_is_spoken_of(dsn: str, spoken_lines: Lines) -> None:
    """A lock that somebody else holds, for instance; a connection waits for that in one place."""
    with open_unlimited(dsn, SCHEMA) as holder, open_unlimited(dsn, SCHEMA) as connection:
        connection.answer_within = 30
        with holder.transaction():
            holder.execute("LOCK TABLE refusals")
            asking = threading.Thread(target=lambda: connection.execute("SELECT FROM refusals"))
            asking.start()
            until(lambda: any("waiting for PostgreSQL to answer (" in line for line in spoken_lines()))
        finish(asking)
    assert any(
        "waiting for PostgreSQL to answer (0 seconds so far, at most 30)" in line for line in spoken_lines()
    )


def test_a_pool_without_a_free_connection_is_spoken_of(dsn: str, spoken_lines: Lines) -> None:
    """The wait for one ends, too, with an error that says what it was for."""
    pool = StorePool(
        connection_arguments(dsn, SCHEMA),
        least=1,
        most=1,
        patience=1.5,
        answer_within=None,
        prepare=lambda connection: connection.prepare(0),
        troubles=TroubleCounts(),
        disk=LocalDisk(None),
    )
    pool.open()
    with closing(pool), pool.connection(), pytest.raises(Exception, match="all connections are in use"):
        pool.getconn()
    assert any("a connection to PostgreSQL (" in line for line in spoken_lines())


def test_a_server_that_takes_no_connection_is_spoken_of(spoken_lines: Lines) -> None:
    """A stopped server: the kernel takes the connection, and nobody answers. The password is not shown."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        port = silent.getsockname()[1]
        address = f"postgresql://nobody:secret@127.0.0.1:{port}/none?connect_timeout=2&sslmode=disable"
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            open_unlimited(address, SCHEMA)
    assert "a connection to PostgreSQL at 127.0.0.1 (0 seconds so far, at most 2)" in spoken_lines()[0]


def test_a_forked_child_waits_for_nothing_of_its_parent() -> None:
    """Its own waits are spoken of, and the parent's, whose threads it does not have, are not."""
    with announced("the parent"):
        child = os.fork()
        if child == 0:
            os._exit(0 if not waiting._waits and waiting._watcher is None else 1)
        _, status = os.waitpid(child, 0)
    assert status == 0


def test_a_trouble_that_lasts_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Though it is tried many times a second, and says other numbers each time."""
    log = logging.getLogger("a test")
    trouble = RepeatedTrouble(log, "it stopped")
    for n in range(5):
        trouble.note(OSError(f"process {n} is in the way"))
    trouble.note(OSError("no room"))
    trouble.over()
    trouble.note(OSError("no room"))
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["it stopped: process 0 is in the way", "it stopped: no room", "it stopped: no room"]
