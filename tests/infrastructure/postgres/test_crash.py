"""`kill -9` at any moment: what was acknowledged is in the log once, and the views show the log."""

import json
import random
import subprocess
import time
from pathlib import Path

from offerlog_infrastructure.composition import open_offerlog
from support.journeys import journeys, signal
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import event_ids, recounted, rows, shown, until

RECORDER = """
import sys, itertools
from pathlib import Path
from offerlog_infrastructure.composition import open_offerlog
dsn, file = sys.argv[1:]
lines = Path(file).read_bytes().splitlines()
with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
    for start in range(0, len(lines), 20):
        service.record(lines[start:start + 20])
        print(start + 20, flush=True)
"""
"""Records the lines of a file in batches and says after each how many it has got through."""


def killed_while_recording(dsn: str, file: Path, seconds: float) -> int:
    """How many lines a recorder had acknowledged when it was killed so long after the first."""
    recorder = LimitedProcess([*preloaded_code(RECORDER), dsn, str(file)], stdout=subprocess.PIPE)
    assert recorder.stdout is not None
    first = recorder.stdout.readline()
    time.sleep(seconds)
    recorder.kill()
    output = first + recorder.stdout.read()
    recorder.stdout.close()
    recorder.wait(30)
    whole = [line for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    return int(whole[-1])


def test_what_a_killed_process_acknowledged_is_recorded_once(dsn: str, tmp_path: Path) -> None:
    """Four rounds; afterwards everything is sent once more, as a sender without an answer would."""
    chance = random.Random(9)  # noqa: S311 - chance in a test
    acknowledged: list[dict[str, object]] = []
    everything: list[dict[str, object]] = []
    for number in range(4):
        signals = [
            signal(state, visitor=f"{number}-{n}") for n in range(4_000) for state in ("offered", "accepted")
        ]
        file = tmp_path / f"{number}.ndjson"
        file.write_bytes(b"\n".join(_line(each) for each in signals))
        got = killed_while_recording(dsn, file, chance.uniform(0.05, 0.6))
        assert 0 < got < len(signals)
        acknowledged += signals[:got]
        everything += signals[: got + 100]
    recorded = event_ids(dsn)
    assert set(recorded.values()) == {1}
    assert {str(each["eventId"]) for each in acknowledged} <= set(recorded)
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(service.record(map(_line, everything)).position)
        assert shown(service, dsn) == recounted(dsn)
    assert event_ids(dsn) == {each["eventId"]: 1 for each in everything}


def test_a_batch_is_recorded_whole_or_not_at_all(dsn: str, tmp_path: Path) -> None:
    """One submission is one transaction: a kill never leaves half of it, refusals included."""
    lines = [line for n in range(2_000) for line in (_line(signal("offered", visitor=n)), b"%d" % n)]
    file = tmp_path / "lines.ndjson"
    file.write_bytes(b"\n".join(lines))
    for seconds in (0.03, 0.11):
        killed_while_recording(dsn, file, seconds)
    until(lambda: _settled(dsn))
    assert len(event_ids(dsn)) % 10 == 0
    assert rows(dsn, "SELECT count(*) % 10 FROM refusals") == [(0,)]


def test_nothing_is_lost_when_the_service_is_closed(dsn: str) -> None:
    """What was handed in before `close` is recorded by the time it returns."""
    lines = journeys(70)
    service = open_offerlog(database_url=dsn, keep_deadlines=False)
    answers = [service.submit([line]) for line in lines]
    service.close()
    assert all(answer.done() and answer.exception(0) is None for answer in answers)
    with open_offerlog(database_url=dsn, keep_deadlines=False) as again:
        kinds = {outcome.kind.value for outcome in again.record(lines).outcomes}
        assert "recorded" not in kinds


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode()


def _settled(dsn: str) -> bool:
    return rows(
        dsn,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()",
    ) == [(0,)]
