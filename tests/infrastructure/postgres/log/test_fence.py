"""After a fence no event appears that was decided before it, though writers dawdle, in threads and a process.

Every event of these writers says, as its topic, under which epoch it was decided. After each fence the events
of older epochs are counted, and again in the end. A difference is events that came too late.
"""

import inspect
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest

from offerlog_application.ports.event_log import StaleEpochError
from offerlog_application.ports.write_fence import FenceTimeoutError
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import (
    PostgresFence,
    _describe_holders,
    await_writers,
    raise_epoch,
)
from offerlog_infrastructure.postgres.log.mapper import EventRow
from support.journeys import signal
from support.processes import LimitedProcess, finish
from support.recount import rows

SOAK_SECONDS: Final = float(os.environ.get("OFFERLOG_SOAK_SECONDS", "1.5"))
"""How long the writers write: short in CI, long in `make soak-fence`."""

_DAWDLE: Final = b"""
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(random() * 0.03); RETURN NULL; END $$;
    CREATE TRIGGER dawdle_before_the_look AFTER INSERT ON offerlog_events
        FOR EACH STATEMENT EXECUTE FUNCTION dawdle();
    CREATE CONSTRAINT TRIGGER dawdle_behind_the_look AFTER INSERT ON offerlog_events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()
"""
"""What is deferred happens inside COMMIT, and so between the look and the commit."""

_COUNT_OLDER: Final = 'SELECT count(*) FROM offerlog_events WHERE topic COLLATE "C" < %s'
"""Topics of other events begin with a letter, and sort behind all numbers."""

_INSERT: Final = """
    INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
    VALUES (gen_random_uuid(), 1, %s, '')
"""


def write(application: OfferlogApplication, goes_on: Callable[[], bool]) -> None:
    """Decide, dawdle, append; again and again."""
    epoch = application.log.select_epoch()
    while goes_on():
        time.sleep(random.random() * 0.01)  # noqa: S311 - chance in a test
        events = [EventRow(1, uuid4(), f"{epoch:09}", b"") for _ in range(random.randint(1, 3))]  # noqa: S311 - as above
        try:
            application.log.append(events, epoch=epoch)
        except StaleEpochError as stale:
            epoch = stale.epoch


def write_looking_first(application: OfferlogApplication, goes_on: Callable[[], bool]) -> None:
    """Do the same in the wrong order: the look comes before the lock of the events table."""
    epoch = application.log.select_epoch()
    with application.connect(30) as connection:
        while goes_on():
            try:
                with connection.transaction():
                    connection.execute("SELECT look_before_commit(%s)", (epoch,))
                    time.sleep(random.random() * 0.2)  # noqa: S311 - longer than a fence waits here
                    connection.execute(_INSERT, (f"{epoch:09}",))
            except psycopg.DatabaseError:
                epoch = application.log.select_epoch()


_PROGRAM: Final = f"""
import random, sys, time
from uuid import uuid4
from offerlog_application.ports.event_log import StaleEpochError
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import EventRow
from collections.abc import Callable
{inspect.getsource(write)}
application = OfferlogApplication(sys.argv[1], {SCHEMA!r})
until = time.monotonic() + float(sys.argv[2])
write(application, lambda: time.monotonic() < until)
application.close()
"""


class Fencer:
    """Fences at random moments, and what the log held of older epochs right after each of them."""

    def __init__(self, application: OfferlogApplication, fence: Callable[[], int]) -> None:
        self._application = application
        self._fence = fence
        self.held: dict[int, int] = {}

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Fence again and again."""
        while goes_on():
            time.sleep(random.random() * 0.05)  # noqa: S311 - chance in a test
            epoch = self._fence()
            self.held[epoch] = self._count(epoch)

    def late(self) -> int:
        """How many events have appeared after a fence that should have stopped them."""
        return sum(self._count(epoch) - count for epoch, count in self.held.items())

    def _count(self, epoch: int) -> int:
        with self._application.reading.cursor() as cursor:
            row = cursor.execute(_COUNT_OLDER, (f"{epoch:09}",)).fetchone()
        assert row is not None
        return int(row["count"])


@pytest.fixture
def application(dsn: str) -> Iterator[OfferlogApplication]:
    """The log, where every transaction that inserts events dawdles before its look and behind it."""
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", autocommit=True) as connection:
        connection.execute(_DAWDLE)
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        yield application


@contextmanager
def at_once(*work: Callable[[], object]) -> Iterator[None]:
    """Runs some functions in threads, during the block and until they have ended; their errors come out."""
    errors: list[BaseException] = []

    def run(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    yield
    finish(*threads)
    for error in errors:
        raise error


def within(seconds: float) -> Callable[[], bool]:
    """A condition that holds for so long."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def test_after_a_fence_no_event_appears_that_was_decided_before_it(
    dsn: str, application: OfferlogApplication
) -> None:
    """Whoever writes and however many fence at once; callers of the service notice nothing."""
    fencers = [Fencer(application, PostgresFence(application).fence) for _ in range(2)]
    kinds: list[str] = []

    def record(goes_on: Callable[[], bool]) -> None:
        with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
            while goes_on():
                receipt = service.record([signal("offered", visitor=len(kinds))])
                kinds.append(receipt.outcomes[0].kind.value)

    program = [sys.executable, "-c", _PROGRAM, dsn, str(SOAK_SECONDS)]
    with LimitedProcess(program, stdout=subprocess.DEVNULL, seconds=SOAK_SECONDS + 60) as process:
        goes_on = within(SOAK_SECONDS)
        writers = [lambda: write(application, goes_on)] * 3
        with at_once(*writers, lambda: record(goes_on), *(lambda f=f: f.run(goes_on) for f in fencers)):
            process.wait(SOAK_SECONDS + 60)
    assert process.returncode == 0
    epochs = [epoch for fencer in fencers for epoch in fencer.held]
    assert len(set(epochs)) == len(epochs) > 2
    assert len(rows(dsn, "SELECT DISTINCT topic FROM offerlog_events")) > 2
    assert [fencer.late() for fencer in fencers] == [0, 0]
    assert set(kinds) == {"recorded"}
    assert rows(dsn, "SELECT count(*) FROM offerlog_events WHERE topic LIKE 'offered.%'") == [(len(kinds),)]


@pytest.mark.parametrize("fault", ["a fence that does not wait", "writers that look before they lock"])
def test_the_fence_needs_its_wait_and_the_order_of_its_writers(
    application: OfferlogApplication, fault: str
) -> None:
    """Without one of them events appear too late, and the test above would find them."""
    fence = PostgresFence(application).fence
    writer = write_looking_first

    found = threading.Event()

    def raise_without_waiting() -> int:
        with application.connect(30) as connection:
            return raise_epoch(connection)

    if fault == "a fence that does not wait":
        fence, writer = raise_without_waiting, write  # type: ignore[assignment] # no time limit to give
    fencer = Fencer(application, fence)
    in_time = within(30)

    def search() -> None:
        while in_time() and not found.is_set():
            fencer.run(within(0.2))
            found.set() if fencer.late() else None

    with at_once(*[lambda: writer(application, lambda: in_time() and not found.is_set())] * 4, search):
        pass
    assert found.is_set()


def holding(dsn: str) -> psycopg.Connection[Any]:
    """A writer of somebody else's that has written and not decided."""
    connection = psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", application_name="somebody")
    connection.execute(_INSERT.encode(), ("x",))
    return connection


def test_a_fence_that_cannot_end_in_time_names_who_is_there_and_goes_on_when_called_again(dsn: str) -> None:
    """Nobody else is held up meanwhile; the epoch is raised, and the wait can be gone on with."""
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service,
        closing(OfferlogApplication(dsn, SCHEMA)) as application,
        closing(holding(dsn)) as idle,
        closing(holding(dsn)) as busy,
    ):
        fence = PostgresFence(application)
        with at_once(lambda: busy.execute("SELECT pg_sleep(1)")):
            # when the fence is called, and somebody records
            with pytest.raises(FenceTimeoutError) as raised:
                fence.fence(0.3)
            assert service.record([signal("offered")]).outcomes[0].kind == "recorded"
            # then the error says who is awaited, and what to do
            text, pids = str(raised.value), (idle.info.backend_pid, busy.info.backend_pid)
            assert raised.value.epoch == 2
            assert len(raised.value.holders) == 2
            assert f"process {pids[0]} of the server (somebody) has been idle in its transaction" in text
            assert f"end it with SELECT pg_terminate_backend({pids[0]})" in text
            assert f"process {pids[1]} of the server (somebody) has worked in its transaction" in text
            assert re.search(r"have not ended within (?!0\.[012])\d+\.\d seconds: ", text)
            assert text.endswith("; then do the same again")
            # what its caller has waited before counts
            with closing(psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", autocommit=True)) as mover:
                with pytest.raises(FenceTimeoutError) as raised:
                    await_writers(mover, 0.0, waited=30.0)
                assert raised.value.seconds >= 30
        # and when they have ended, it is finished under the same epoch
        idle.rollback()
        with pytest.raises(FenceTimeoutError):
            fence.finish(0)
        busy.commit()
        assert fence.finish(30) == 2
        assert fence.fence(30) == 3


def test_a_holder_whose_transaction_ends_while_it_is_described_is_no_failure(dsn: str) -> None:
    """A lock of the session shows what the server shows of such a holder: a lock, and no transaction."""
    with (
        closing(psycopg.connect(dsn, autocommit=True, application_name="somebody")) as session,
        psycopg.connect(dsn) as connection,
        connection.cursor() as cursor,
    ):
        session.execute("SELECT pg_advisory_lock(7)")
        locks = "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND pid = %s"
        found = cursor.execute(locks, (session.info.backend_pid,)).fetchone()
        assert found is not None
        (described,) = _describe_holders(cursor, found)
    assert described.endswith("(somebody) has just ended its transaction, and may begin another one")


def test_a_writer_that_begins_during_the_wait_is_not_waited_for(dsn: str) -> None:
    """Else a busy log could not be fenced."""
    with closing(OfferlogApplication(dsn, SCHEMA)) as application, closing(holding(dsn)) as before:
        fenced: list[int] = []
        with at_once(lambda: fenced.append(PostgresFence(application).fence(30))):
            while rows(dsn, "SELECT epoch FROM log_epoch") == [(1,)]:
                time.sleep(0.01)
            time.sleep(0.1)  # it has listed the writers by then
            with closing(holding(dsn)):
                before.commit()
                until = within(30)
                while not fenced and until():
                    time.sleep(0.01)
        assert fenced == [2]
