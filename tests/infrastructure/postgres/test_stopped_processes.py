"""Real processes of ours that are stopped in the middle of a COPY (SIGSTOP), and go on later (SIGCONT)."""

import json
import os
import signal as signals
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.log import hung_sessions
from support.journeys import journeys, signal
from support.processes import LimitedProcess
from support.recount import event_ids, recounted, rows, shown, until

STOPS = """
import json, os, signal, sys, threading
from collections import Counter
import psycopg
from offerlog_infrastructure.composition import open_offerlog

dsn, table, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
write_row, written = psycopg.Copy.write_row, 0

def write_and_stop(copy, row):
    global written
    write_row(copy, row)
    query = copy.cursor._query  # an append sends COPY in a separate message
    if table in (query.query.decode() if query else copy.writer.table):
        written += 1
        if written == rows:
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # at once: this thread takes it

psycopg.Copy.write_row = write_and_stop
"""
"""A process that is stopped as soon as it has written so many rows of a COPY into a table of that name."""

PROJECTS = f"""{STOPS}
with open_offerlog(database_url=dsn, keep_deadlines=False):
    sys.stdin.read()
"""

WRITES = f"""{STOPS}
with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
    receipt = service.record(json.loads(sys.stdin.readline()))
    print(json.dumps(Counter(outcome.kind.value for outcome in receipt.outcomes)), flush=True)
"""

OWNERS = """
    SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
COPYING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND wait_event = 'ClientRead'
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the state of a process is in /proc"
)


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test waits for two seconds instead of ten."""
    monkeypatch.setattr(hung_sessions, "HUNG_SECONDS", 2)


@contextmanager
def process(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of ours; killed in the end, stopped or not."""
    made = LimitedProcess(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield made
    finally:
        made.kill()
        with suppress(BrokenPipeError):
            made.communicate(timeout=60)


def is_stopped(pid: int) -> bool:
    """Whether the kernel has stopped it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_an_owner_of_the_projections_that_is_stopped_is_replaced_and_applies_nothing_twice(dsn: str) -> None:
    """It is in the middle of a page; another process takes over in seconds, and later it takes over again."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as writing:
        first = writing.record(journeys(140)).position
        with process(PROJECTS, dsn, "stage", "5") as owner:
            # given an owner that was stopped in its COPY, with its locks and half a page
            until(lambda: is_stopped(owner.pid), 60)
            ((stopped,),) = rows(dsn, OWNERS)
            until(lambda: rows(dsn, COPYING) == [(stopped,)])
            assert rows(dsn, "SELECT max(notification_id) FROM offerlog_tracking") == [(0,)]
            with open_offerlog(database_url=dsn, keep_deadlines=False) as standing_by:
                # then another process shows everything within seconds
                began = time.monotonic()
                standing_by.wait(first, timeout=60)
                assert time.monotonic() - began < 30
                assert shown(standing_by, dsn) == recounted(dsn)
                # when the old owner goes on beside the new one, then it applies nothing
                os.kill(owner.pid, signals.SIGCONT)
                second = writing.record(journeys(210)[420:]).position
                standing_by.wait(second)
                assert shown(standing_by, dsn) == recounted(dsn)
                assert stopped not in {pid for (pid,) in rows(dsn, OWNERS)}
            # and when the new owner has gone, then the old one takes over again, where that one stood
            third = writing.record([signal("offered", visitor="later")]).position
            writing.wait(third, timeout=60)
            assert shown(writing, dsn) == recounted(dsn)
            assert all(not proof.differences for proof in writing.verify())


def test_a_writer_that_is_stopped_holds_nobody_up_and_records_nothing_twice(dsn: str) -> None:
    """It is in the middle of an append; its clients have sent the same signals to another process."""
    visitors = 1_500
    again = [signal("accepted", visitor=n) for n in range(visitors)]
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.record([signal("offered", visitor=n) for n in range(visitors)])
        with process(WRITES, dsn, "offerlog_events", "1400") as writer:
            # given a writer that was stopped in its COPY, and what it was to record sent here as well
            assert writer.stdin is not None
            writer.stdin.write(json.dumps(again) + "\n")
            writer.stdin.flush()
            until(lambda: is_stopped(writer.pid), 60)
            sent_again = [service.submit([one]) for one in again]
            # then an unrelated signal is recorded at once, and the rest when the hung session is ended
            began = time.monotonic()
            free = service.submit([signal("offered", visitor="free")])
            assert free.result(timeout=60).outcomes[0].kind == "recorded"
            assert time.monotonic() - began < 15
            kinds = Counter(one.result(timeout=60).outcomes[0].kind.value for one in sent_again)
            assert kinds == {"recorded": visitors}
            # and when it goes on, then it finds that all of it has been recorded
            os.kill(writer.pid, signals.SIGCONT)
            assert writer.stdout is not None
            assert json.loads(writer.stdout.readline()) == {"duplicate": visitors}
        assert set(event_ids(dsn).values()) == {1}
        service.catch_up()
        assert shown(service, dsn) == recounted(dsn)
