"""The projector's process killed with `kill -9`: nothing counted twice, and another one takes over."""

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from offerlog_infrastructure.composition import open_offerlog
from support.internals import stop_projector
from support.journeys import journeys, signal
from support.positions import number_of
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import recounted, rows, shown, until

PROJECTOR = """
import sys
from offerlog_infrastructure.composition import open_offerlog
print("here", flush=True)
sys.stdin.readline()
with open_offerlog(database_url=sys.argv[1], keep_deadlines=False):
    sys.stdin.read()
"""
"""Opens the log when told so, and keeps it open."""

HOLDERS = """
    SELECT objid, pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""


@contextmanager
def standing_by(dsn: str, count: int) -> Iterator[list[LimitedProcess]]:
    """So many processes that have everything loaded and wait for a word; killed in the end."""
    processes = [
        LimitedProcess(
            [*preloaded_code(PROJECTOR), dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=60)


def begin(process: LimitedProcess) -> None:
    """Tell a process to open the log."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def position(dsn: str) -> int:
    """How far all views have come."""
    ((reached,),) = rows(dsn, "SELECT min(notification_id) FROM offerlog_tracking")
    assert isinstance(reached, int)
    return reached


def test_killed_in_the_middle_of_pages_it_shows_each_event_once(dsn: str) -> None:
    """Six processes one after the other, each killed soon after it has begun to move the views."""
    chance = random.Random(5)  # noqa: S311 - chance in a test
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        stop_projector(service)
        last = number_of(service.record(journeys(4_500)).position)
    assert last >= 12_000
    reached = [0]
    with standing_by(dsn, 6) as processes:
        for process in processes:
            begin(process)
            until(lambda: position(dsn) > reached[-1] or position(dsn) == last)
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
            reached.append(position(dsn))
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(last)
        assert shown(service, dsn) == recounted(dsn)
    assert len(set(reached)) > 2


def test_the_second_takes_over_when_the_first_is_killed(dsn: str) -> None:
    """Each view has one active projector at a time, and soon another one."""
    with standing_by(dsn, 1) as (first,):
        begin(first)
        until(lambda: len(rows(dsn, HOLDERS)) == 4)  # three views and the tree
        (owner,) = {pid for _, pid in rows(dsn, HOLDERS)}
        with open_offerlog(database_url=dsn, keep_deadlines=False) as second:
            signals = [signal(state, visitor=n) for n in range(50) for state in ("offered", "rejected")]
            second.wait(second.record(signals).position)
            assert {pid for _, pid in rows(dsn, HOLDERS)} == {owner}
            first.kill()
            receipt = second.record([signal("offered", visitor="later")])
            second.wait(receipt.position, timeout=10)
            until(lambda: len(rows(dsn, HOLDERS)) == 4)  # three views and the tree
            held = rows(dsn, HOLDERS)
            assert len({view for view, _ in held}) == 4
            assert owner not in {pid for _, pid in held}
            assert shown(second, dsn) == recounted(dsn)
