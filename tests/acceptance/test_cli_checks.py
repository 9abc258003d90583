"""What the exit codes of checks tell: something is wrong, is in the way, or could not be done."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog
from support.command_line import CommandLine, an_id, ndjson, signal_of
from support.internals import application_of
from support.processes import LimitedProcess, finish
from support.recount import rows, until

REBUILDING = """
import sys
from offerlog_infrastructure.postgres.projections.rebuild import staging
staging.EVENTS_A_SLICE = 10
from offerlog_infrastructure.cli.main import main
sys.argv = ["offerlog", "projections", "rebuild"]
main()
"""
"""The command with so small slices that a small log keeps several processes busy."""


class Running:
    """A command that runs, and what it has said on standard error so far."""

    def __init__(self, offerlog: CommandLine) -> None:
        self.process = LimitedProcess(
            [sys.executable, "-c", REBUILDING],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=offerlog.environment,
        )
        self.errors = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def stop_workers(self) -> list[int]:
        """Stop those processes that it has started to load the log, and return their numbers."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        workers = [pid for pid in listed.split() if b"slices" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in workers:
            os.kill(int(pid), signal.SIGSTOP)
        return [int(pid) for pid in workers]

    def ended(self) -> int:
        """Its exit code."""
        code = self.process.wait(60)
        finish(self._reader)
        return code

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.ended()
        if self.process.stdout is not None and self.process.stderr is not None:
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture
def recorded(offerlog: CommandLine) -> CommandLine:
    """The command, over a store with forty offers more."""
    signals = [signal_of("offered", an_id(), an_id(), customerId=f"visitor-{n}") for n in range(40)]
    offerlog("record", "-", given=ndjson(*signals))
    return offerlog


@pytest.fixture
def standing_still(recorded: CommandLine) -> Iterator[tuple[Running, list[int]]]:
    """A rebuild whose processes that load have been stopped, and these."""
    if not Path("/proc/self/task").exists():
        pytest.skip("the processes that a process has started are found in /proc")
    running = Running(recorded)
    workers: list[int] = []

    def speaks() -> bool:
        workers[:] = running.stop_workers()  # a worker takes longer than that to begin its work
        return "still waiting for the processes of the rebuild" in running.errors

    try:
        until(speaks, 60)
        yield running, workers
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        running.close()


def test_killed_processes_of_a_rebuild_are_named_and_the_next_one_goes_on(
    recorded: CommandLine, standing_still: tuple[Running, list[int]]
) -> None:
    """Meanwhile the wait for them is spoken of, and another check says that it is too early for it."""
    running, workers = standing_still
    # given a rebuild that stands still, and says so
    assert all(str(worker) in running.errors for worker in workers)
    # when a check is run beside it, then nothing is compared, and nothing looks like a difference
    answer = recorded("projections", "verify", "--contents", code=4)
    assert "another rebuild or verification of this log is at work" in answer.errors
    assert "differ" not in answer.errors
    # when its processes are killed
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    # then it says which, by what, and what to do, in one line
    assert running.ended() == 1
    error = running.errors.splitlines()[-1]
    assert error.startswith("offerlog: the rebuild has stopped after ")
    assert f"process {workers[-1]} was ended by SIGKILL" in error
    assert "run the same command again" in error
    assert "Traceback" not in running.errors
    # and the next one does go on
    assert "all projections rebuilt" in recorded("projections", "rebuild").text


def test_a_difference_has_an_exit_code_of_its_own(
    recorded: CommandLine, cli_store: tuple[Path, Offerlog]
) -> None:
    """In the rows, and in the events that were folded in."""
    _, service = cli_store
    dsn = application_of(service).dsn
    with open_offerlog(database_url=dsn, keep_deadlines=False) as projecting:
        projecting.catch_up()
        # given a row that somebody has changed
        rows(dsn, "UPDATE current_offers SET actions = 9 WHERE ctid = (SELECT min(ctid) FROM current_offers)")
        # then a comparison of all rows says so
        error = recorded("projections", "verify", "current_state", "--contents", code=3).errors
        assert "differs from the live one" in error
        projecting.rebuild("current_state", accept_difference=True)
        # given an event that seems to have been taken twice
        rows(dsn, "UPDATE projection_proofs SET events = events + 1 WHERE view = 'performance'")
        # then the proof says so
        error = recorded("projections", "verify", code=3).errors
        assert "events were folded in where the log holds" in error
        projecting.rebuild("performance")
