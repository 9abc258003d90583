"""`offerlog replay`: all projections computed by Dask, compared with the live ones; killed and resumed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, an_id, ndjson, signal_of
from support.processes import LimitedProcess

pytest.importorskip("distributed", reason="the extra archive is not installed")

_KILLING = """
import os, signal, sys
from offerlog_infrastructure.replaying import on_dask
step, count, victim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) or os.getpid()
save = on_dask.save_manifest
def save_and_kill(folder, manifest):
    save(folder, manifest)
    if sum(getattr(one, step) is not None for one in manifest.slices) == count:
        os.kill(victim, signal.SIGKILL)
on_dask.save_manifest = save_and_kill
from offerlog_infrastructure.cli.main import main
sys.argv = ["offerlog", *sys.argv[4:]]
main()
"""
"""The command, where a process is killed once the manifest notes a number of steps."""


@pytest.fixture
def recorded(offerlog: CommandLine) -> CommandLine:
    """The command, over a store with a few hundred events."""
    signals = []
    for n in range(60):
        action, action_map = an_id(), an_id()
        signals += [
            signal_of(state, action, action_map, customerId=f"visitor-{n}")
            for state in ("offered", "accepted", "started", "engaged")[: 1 + n % 4]
        ]
    signals.append(signal_of("started", an_id(), an_id(), customerId="visitor-parked"))
    offerlog("record", "-", given=ndjson(*signals))
    return offerlog


def _replaying(folder: Path) -> list[str]:
    return ["replay", "--on", "dask", "--folder", str(folder)]


def manifest_of(folder: Path) -> Any:
    """The manifest of a replay."""
    return json.loads((folder / "manifest.json").read_text())


def replay_and_kill(
    offerlog: CommandLine, folder: Path, step: str, count: int, *words: str, victim: int = 0
) -> subprocess.CompletedProcess[str]:
    """Replay until the manifest has so many of a step, then kill this process or another one."""
    return subprocess.run(
        [sys.executable, "-c", _KILLING, step, str(count), str(victim), *_replaying(folder), *words],
        env=offerlog.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextmanager
def scheduler() -> Iterator[tuple[LimitedProcess, str]]:
    """A scheduler with one worker, and its address. Behind five slices the worker stands still."""
    program = (
        "import distributed, sys, time\n"
        "from offerlog_infrastructure.replaying import slice_replay\n"
        "replay, begun = slice_replay.replay_slice, []\n"
        "def replay_five(path):\n"
        "    begun.append(path)\n"
        "    return replay(path) if len(begun) <= 5 else time.sleep(100)\n"
        "slice_replay.replay_slice = replay_five\n"
        "with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False,\n"
        "                              dashboard_address='127.0.0.1:0', protocol='tcp') as cluster:\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with LimitedProcess(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


@pytest.mark.time_limit(200)
def test_a_replay_that_was_killed_resumes_and_equals_the_live_projections(
    recorded: CommandLine, tmp_path: Path
) -> None:
    """Killed while it writes, and again while slices are replayed: nothing is done twice."""
    folder = tmp_path / "replay"
    # when it is killed while it writes
    killed = replay_and_kill(recorded, folder, "written", 5)
    # then the files that were written are noted
    assert killed.returncode == -signal.SIGKILL, killed
    written = [one for one in manifest_of(folder)["slices"] if one["written"]]
    times = {one["file"]: (folder / one["file"]).stat().st_mtime_ns for one in written}
    assert len(written) == 5
    # when the next run is killed behind three results
    killed = replay_and_kill(recorded, folder, "result", 3)
    assert killed.returncode == -signal.SIGKILL, killed
    found = manifest_of(folder)["slices"]
    done = [one for one in found if one["result"]]
    assert len(done) == 3
    assert {name: (folder / name).stat().st_mtime_ns for name in times} == times, "not written again"
    for one in done:
        (folder / one["file"]).unlink()
    # then the third run does the rest, without the files of slices that are done
    answer = recorded(*_replaying(folder), "--format", "json").json
    assert answer["equal"]
    assert [one["events"] for one in answer["projections"]] == [answer["events"]] * 3
    assert answer["counts"]["engaged"] >= 15, "other tests record too"
    tables = {name: one["total"] for row in answer["projections"] for name, one in row["tables"].items()}
    assert tables["performance_counts"] == tables["performance_days"] == 2 * sum(answer["counts"].values())
    assert tables["suppressions"] >= 15
    assert tables["parked_signals"] >= 1
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


@pytest.mark.time_limit(200)
def test_a_lost_scheduler_loses_no_result(recorded: CommandLine, tmp_path: Path) -> None:
    """The results that came are noted, and the error says what to do."""
    folder = tmp_path / "replay"
    # given an address that nobody can mean, nothing is begun
    wrong = recorded.fails(*_replaying(folder), "--scheduler", "10.0.0.5")
    assert "--scheduler: '10.0.0.5' is not the address of a scheduler, such as tcp://" in wrong
    assert not folder.exists()
    # when
    with scheduler() as (process, address):
        run = replay_and_kill(recorded, folder, "result", 3, "--scheduler", address, victim=process.pid)
    # then
    assert run.returncode == 1, run
    assert f"the scheduler {address} or its workers cannot be reached; " in run.stderr
    assert "run the same command again" in run.stderr
    assert "Traceback" not in run.stderr
    assert sum(one["result"] is not None for one in manifest_of(folder)["slices"]) >= 3
