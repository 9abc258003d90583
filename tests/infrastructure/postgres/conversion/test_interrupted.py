"""An upgrade may be killed at any moment, and begun by many at once: it is made once, and whole."""

import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.conversion import rewriting
from offerlog_infrastructure.postgres.conversion.errors import (
    ConvertedCountsDifferError,
    FirstEventsInUseError,
    RewrittenLogDiffersError,
    UnreadableFirstEventError,
)
from support.first_store import new_events, old_events, restore_first_store
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import rows, until

UPGRADING = """
import sys, time
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.conversion import converter, rewriting
rewriting._STREAMS_A_PAGE = 20
dsn, moment = sys.argv[1:]
def stop(*_):
    print("here", flush=True)
    time.sleep(60)  # until it is killed
def on_upgrade(step):
    if (step.stage, step.events > 100) == (moment, True):
        stop()
if moment == "cleaning":
    converter._Converter._clean = stop
elif hasattr(converter, moment):
    setattr(converter, moment, stop)
with open_offerlog(database_url=dsn, keep_deadlines=False, project=False, on_upgrade=on_upgrade):
    print("upgraded", flush=True)
"""
MOMENTS = ["rewriting", "check_rewritten_events", "loading", "proving", "check_counts", "cleaning"]
"""Stages of the progress, and functions of the converter: one in each step of an upgrade."""

DAMAGES = [
    ("UPDATE {} SET state = '\\x91c0' WHERE notification_id = 65", "array"),
    ("UPDATE {} SET topic = 'offered.7' WHERE notification_id = 65", "no version of"),
    (
        "UPDATE {0} SET state = (SELECT state FROM {0} WHERE notification_id = 1) WHERE notification_id = 65",
        "another visitor",
    ),
    ("UPDATE {} SET originator_version = 9 WHERE notification_id = 65", "is missing"),
]
"""Damages to the last event of a stream, and words of the error."""

SELECT_ABANDONED = """
    SELECT originator_version, topic, state, originator_id FROM {} WHERE notification_id = 65
"""
ADD_ONE = """
    INSERT INTO offerlog_events SELECT 900, 77, originator_id, topic, state FROM offerlog_events LIMIT 1
"""
MEND = """
    UPDATE first_events SET originator_version = %s, topic = %s, state = %s WHERE notification_id = 65
"""
SELECT_LEFT = "SELECT to_regclass('first_events'), to_regclass('conversion')"
SELECT_COUNTS = """
    SELECT organization, action_map_id, cohort, slot, sum(offered), sum(accepted), sum(rejected),
        sum(started), sum(abandoned), sum(engaged), sum(ignored), sum(errored), sum(timedout)
    FROM performance_counts GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
def first_store(dsn: str) -> str:
    """The connection string of a store as 0.1 left it."""
    restore_first_store(dsn)
    return dsn


def opened(dsn: str) -> Offerlog:
    """The service over an existing store, without a projector."""
    return open_offerlog(database_url=dsn, create=False, keep_deadlines=False, project=False)


def test_an_upgrade_that_is_killed_in_each_of_its_steps_goes_on_from_there(first_store: str) -> None:
    """Six kills, one store: no page is done twice, and nothing is lost."""
    # given
    before, counts = old_events(first_store), rows(first_store, SELECT_COUNTS)
    for moment in MOMENTS:
        # when
        child = LimitedProcess([*preloaded_code(UPGRADING), first_store, moment], stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"here\n", moment
            child.send_signal(signal.SIGKILL)
        if moment == "rewriting":
            done = rows(first_store, "SELECT events, (SELECT count(*) FROM offerlog_events) FROM conversion")
            assert 100 < done[0][0] == done[0][1] < len(before)
    with opened(first_store) as service:
        # then
        assert [(one.differences, one.events) for one in service.verify()] == [((), len(before))] * 3
    after = new_events(first_store)
    assert after.keys() == before.keys()
    assert all(after[place][1].private == one.private for place, (_, one) in before.items())
    assert rows(first_store, SELECT_COUNTS) == counts
    assert rows(first_store, SELECT_LEFT) == [(None, None)]


def test_of_two_that_open_the_store_at_once_one_upgrades_it_and_the_other_waits(
    first_store: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The second goes on as soon as the first has ended."""
    # given
    begun, may_go_on = threading.Event(), threading.Event()

    def on_upgrade(_: RebuildProgress) -> None:
        begun.set()
        assert may_go_on.wait(60)

    start = partial(open_offerlog, database_url=first_store, keep_deadlines=False, project=False)
    with ThreadPoolExecutor(2) as pool:
        # when
        first = pool.submit(start, on_upgrade=on_upgrade)
        assert begun.wait(60)
        second = pool.submit(start)
        try:
            until(
                lambda: rows(
                    first_store,
                    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock(%'"
                    " AND datname = current_database() AND state = 'idle'",
                )
            )
            assert not second.done()
        finally:
            may_go_on.set()
        # then
        for one in (first, second):
            one.result(60).close()
    assert caplog.text.count("it is upgraded now, once") == 1
    assert rows(first_store, "SELECT count(*) FROM offerlog_events") == [(379,)]


def test_an_event_that_cannot_be_read_stops_the_upgrade_and_nothing_is_dropped(first_store: str) -> None:
    """The error names position and stream, as often as the store is opened; mended, the upgrade goes on.

    The performance projection was behind, so its counts are not compared.
    """
    # given
    rows(first_store, "UPDATE performance_counts SET offered = offered - 1")
    rows(first_store, "UPDATE offerlog_tracking SET notification_id = 300")
    ((*fields, stream),) = rows(first_store, SELECT_ABANDONED.format("offerlog_events"))
    table = "offerlog_events"
    for damage, cause in DAMAGES:
        rows(first_store, damage.format(table))
        # when
        with pytest.raises(UnreadableFirstEventError, match=cause) as caught:
            opened(first_store)
        # then
        assert (caught.value.position, caught.value.stream) == (65, stream)
        assert "position 65" in str(caught.value)
        assert "backup" in str(caught.value)
        table = "first_events"
        assert rows(first_store, "SELECT count(*) FROM first_events") == [(379,)]
        rows(first_store, MEND, *fields)
    opened(first_store).close()
    assert rows(first_store, "SELECT to_regclass('first_counts')") == [(None,)]


def test_events_without_the_beginning_of_their_stream_are_noticed_before_anything_is_dropped(
    first_store: str,
) -> None:
    """The rewriting finds streams by their first events; the check finds the others."""
    rows(first_store, "DELETE FROM offerlog_events WHERE notification_id = 1")
    with pytest.raises(RewrittenLogDiffersError, match="no first event"):
        opened(first_store)
    assert rows(first_store, "SELECT count(*) FROM first_events") == [(378,)]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (ADD_ONE, "380"),
        ("UPDATE offerlog_events SET originator_version = 77 WHERE notification_id = 65", "other versions"),
    ],
)
def test_rewritten_events_that_differ_are_noticed_before_anything_is_dropped(
    first_store: str, monkeypatch: pytest.MonkeyPatch, change: str, difference: str
) -> None:
    """Number, positions, versions and streams are compared, and a later opening compares them again."""

    def rewrite_wrongly(rewriter: rewriting.Rewriter, on_progress: Callable[[RebuildProgress], None]) -> None:
        rewrite(rewriter, on_progress)
        rows(first_store, change)

    rewrite = rewriting.Rewriter.run
    with monkeypatch.context() as patched:
        patched.setattr(rewriting.Rewriter, "run", rewrite_wrongly)
        with pytest.raises(RewrittenLogDiffersError, match=difference):
            opened(first_store)
    with pytest.raises(RewrittenLogDiffersError, match=difference):
        opened(first_store)
    assert rows(first_store, "SELECT count(*) FROM first_events") == [(379,)]


def test_what_stands_in_the_way_at_the_end_is_named_and_the_store_can_be_used(first_store: str) -> None:
    """A view of the operator's keeps the old tables. Counts that differ are an error once, and stay."""
    # given
    rows(first_store, "CREATE VIEW of_theirs AS SELECT topic FROM offerlog_events")
    # when, then
    with pytest.raises(FirstEventsInUseError, match="of_theirs"):
        opened(first_store)
    # given
    rows(first_store, "DROP VIEW of_theirs")
    rows(first_store, "UPDATE first_counts SET offered = offered + 1 WHERE organization = 'acme'")
    # when, then
    with pytest.raises(ConvertedCountsDifferError, match="first_counts"):
        opened(first_store)
    with opened(first_store) as service:
        assert not any(one.differences for one in service.verify())
    assert rows(first_store, SELECT_LEFT) == [(None, None)]
    assert rows(first_store, "SELECT count(*) > 0 FROM first_counts") == [(True,)]
