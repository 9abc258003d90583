"""Short signals in several processes: they meet their offers from all sides, and each is recorded once."""

import json
import random
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from offerlog_infrastructure.composition import open_offerlog
from support.journeys import an_id
from support.preloaded import preloaded_code
from support.processes import LimitedProcess, finish
from support.recount import recounted, rows, shown

VISITORS = 300

RECORDER = """
import sys
from pathlib import Path
from offerlog_infrastructure.composition import open_offerlog
dsn, file = sys.argv[1:]
lines = Path(file).read_bytes().splitlines()
with open_offerlog(database_url=dsn, project=False, keep_deadlines=False) as service:
    for start in range(0, len(lines), 10):
        for one in service.record(lines[start:start + 10]).outcomes:
            assert one.kind != "refused", one
        print(start, flush=True)
"""
"""Records the lines of a file in batches and tells of each."""


def recorder(dsn: str, file: Path) -> LimitedProcess:
    """A process that records the lines of a file."""
    return LimitedProcess([*preloaded_code(RECORDER), dsn, str(file)], stdout=subprocess.PIPE)


def kill_after(process: LimitedProcess, batches: int) -> None:
    """Let a process record some batches, and kill it."""
    assert process.stdout is not None
    for _ in range(batches):
        assert process.stdout.readline()
    process.kill()
    process.stdout.close()
    process.wait(30)


def end(process: LimitedProcess) -> None:
    """Wait for a process, which must succeed."""
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_short_signals_and_their_offers_meet_once_in_any_number_of_processes(
    dsn: str, tmp_path: Path
) -> None:
    """Offers in one process, short signals in another, both killed and sent again; two processes release."""
    # given
    chance = random.Random(5)  # noqa: S311 - the same order again
    offers, shorts = tmp_path / "offers.ndjson", tmp_path / "shorts.ndjson"
    order = list(range(VISITORS))
    ids = {"sessionId": an_id("session")}
    whole = {"actionState": "offered", "actionMapId": an_id("map")} | ids
    lines = [whole | {"actionId": an_id("action", n), "customerId": f"visitor-{n}"} for n in order]
    offers.write_text("\n".join(map(json.dumps, lines)))
    halves = order[VISITORS // 2 :], order[: VISITORS // 2]  # half of them come before their offers
    lines = [
        ids | {"actionId": an_id("action", n), "actionState": state}
        for half in halves
        for state in ("started", "accepted")
        for n in chance.sample(half, len(half))
    ]
    shorts.write_text("\n".join(map(json.dumps, lines)))
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as service,
        open_offerlog(database_url=dsn, project=False, keep_deadlines=False) as other,
    ):
        # when
        first = [recorder(dsn, offers), recorder(dsn, shorts)]
        for process in first:
            kill_after(process, 12)
        again = [recorder(dsn, file) for file in (offers, shorts)]
        both = [threading.Thread(target=one.expire) for one in (service, other)]
        for thread in both:
            thread.start()
        for process in again:
            end(process)
        finish(*both)
        both = [threading.Thread(target=one.expire) for one in (service, other)]
        for thread in both:
            thread.start()
        finish(*both)
        # then
        assert rows(dsn, "SELECT count(*) FROM parked_short_signals") == [(0,)]
        states = rows(dsn, "SELECT topic, count(*) FROM offerlog_events GROUP BY 1")
        found = {topic.split(".")[0]: count for topic, count in states if not topic.startswith("signal")}
        assert found == dict.fromkeys(("offered", "accepted", "started"), VISITORS)
        assert rows(dsn, "SELECT count(*) FROM refusals") == [(0,)]
        service.catch_up()
        assert shown(service, dsn) == recounted(dsn)


def test_two_processes_end_one_wait_once(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short signal whose action is over is refused once, though both have decided to refuse it."""
    # given
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as service,
        open_offerlog(database_url=dsn, project=False, keep_deadlines=False) as other,
    ):
        ids = {"sessionId": an_id("session")}
        whole = ids | {"actionMapId": an_id("map")}
        actions = [{"actionId": an_id("action", n)} for n in range(100)]
        service.record([ids | one | {"actionState": "started"} for one in actions])
        for state in ("offered", "ignored"):
            service.record(
                [
                    whole | one | {"actionState": state, "customerId": f"visitor-{n}"}
                    for n, one in enumerate(actions)
                ]
            )
        append = other._log.append
        released: list[object] = []

        def append_behind_the_other(*rows: Any, **options: Any) -> int | None:
            if not released:
                released.append(service.expire())
            return append(*rows, **options)

        # when
        monkeypatch.setattr(other._log, "append", append_behind_the_other)
        other.expire()
        # then
        assert len(released) == 1
        assert rows(dsn, "SELECT count(*) FROM parked_short_signals") == [(0,)]
        assert rows(dsn, "SELECT reason, count(*) FROM refusals GROUP BY 1") == [("action_over", 100)]
