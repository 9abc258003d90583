"""A store that cannot be used says why at once; one that is waited for says whom it waits for."""

import fcntl
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offerlog_infrastructure.embedded import EmbeddedError, EmbeddedServer
from offerlog_infrastructure.embedded.holders import _holders
from offerlog_infrastructure.observability import waiting
from support.processes import LimitedProcess, finish
from support.recount import until
from support.small_disks import filled, small_disk

HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
OPEN = """
import sys
from pathlib import Path
from offerlog_infrastructure.embedded import EmbeddedError, EmbeddedServer
try:
    EmbeddedServer.acquire(Path(sys.argv[1])).close()
except EmbeddedError as error:
    print(error)
"""
AT_ONCE = 30.0
"""Far less than the five minutes for which a store is waited for, and enough for a busy machine."""

Lines = Callable[[], list[str]]


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A disk of 120 MB with nothing on it."""
    with small_disk("120m") as place:
        yield place


@pytest.fixture(scope="module")
def store(disk: Path) -> Path:
    """The data folder of a store on that disk, with nothing running."""
    EmbeddedServer.acquire(disk / "store").close()
    return disk / "store"


@pytest.fixture
def spoken_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """What is said of waits, which are spoken of after a fifth of a second here, and then every other one."""
    monkeypatch.setattr(waiting, "_last_logged", {})
    monkeypatch.setattr(waiting, "_FIRST_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "_TICK_SECONDS", 0.02)
    caplog.set_level(logging.WARNING, logger=waiting.__name__)
    return lambda: [record.getMessage() for record in caplog.records if record.name == waiting.__name__]


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """These processes stand still."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def opened(store: Path, outcome: list[object]) -> threading.Thread:
    """Open and close the store in a thread; `outcome` gets the error, or None."""

    def run() -> None:
        try:
            EmbeddedServer.acquire(store).close()
        except EmbeddedError as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def refusal(store: Path) -> str:
    """The error of opening the store, which comes at once."""
    began = time.monotonic()
    with pytest.raises(EmbeddedError) as raised:
        EmbeddedServer.acquire(store)
    assert time.monotonic() - began < AT_ONCE
    return str(raised.value)


def number(file: Path) -> int:
    """The process number that a file begins with."""
    return int(file.read_text().split()[0])


def test_a_starter_that_stands_still_is_named(store: Path, spoken_lines: Lines) -> None:
    """It holds the lock under which a server is started; the wait says so, and how to let it go on."""
    outcome: list[object] = []
    holder = LimitedProcess(
        [sys.executable, "-c", HOLD, store / "start.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        # given a process that was stopped while it was starting the server
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with stopped(holder.pid):
            # when the store is opened
            opening = opened(store, outcome)
            until(lambda: any("start.lock" in line for line in spoken_lines()))
            holder.kill()
    finish(opening)
    # then it says who is waited for and until when, and goes on as soon as the lock is free
    line = next(line for line in spoken_lines() if "start.lock" in line)
    assert f"still waiting for the store in {store}" in line
    assert "at most 300" in line
    assert f"process {holder.pid}, which has been stopped: `kill -CONT {holder.pid}`" in line
    assert outcome == [None]


def test_a_guard_and_a_server_that_stand_still_are_named(store: Path, spoken_lines: Lines) -> None:
    """Both are waited for, as somebody may let them go on; then all is well."""
    outcome: list[object] = []
    with EmbeddedServer.acquire(store):
        guard, server = number(store / "guard.lock"), number(store / "postgres" / "postmaster.pid")
        with stopped(guard, server):
            opening = opened(store, outcome)
            until(lambda: any("PostgreSQL, process" in line for line in spoken_lines()))
        finish(opening)
    line = next(line for line in spoken_lines() if "PostgreSQL, process" in line)
    for process in (guard, server):
        assert f"process {process}, which has been stopped: `kill -CONT {process}`" in line
    assert outcome == [None]


def test_a_full_disk_under_a_running_server_is_said_at_once(disk: Path, store: Path) -> None:
    """It runs, and takes no connection, as it would have to write a file for that first."""
    with EmbeddedServer.acquire(store):
        for cache in (store / "postgres").rglob("pg_internal.init"):
            cache.unlink()
        with filled(disk):
            raised_error = refusal(store)
    assert "could not write init file: No space left on device" in raised_error
    assert f"{store} takes no connection" in raised_error


def test_a_full_disk_on_which_no_server_starts_is_said_at_once(disk: Path, store: Path) -> None:
    """The log has no room either for what PostgreSQL says of it."""
    (store / "server.log").unlink()
    with filled(disk):
        raised_error = refusal(store)
    assert f"the disk of {store} is full: make room there" in raised_error
    EmbeddedServer.acquire(store).close()


def test_a_guard_that_can_write_nothing_says_so(store: Path) -> None:
    """Neither its process number nor the log."""

    def no_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    opening = subprocess.run(
        [sys.executable, "-c", OPEN, store],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=no_files,
    )
    assert f"its guard cannot write {store / 'guard.lock'}: File too large" in opening.stdout
    assert opening.stderr == ""


def test_whoever_holds_a_lock_file_is_found(tmp_path: Path) -> None:
    """And nobody where it is free."""
    with (tmp_path / "lock").open("w") as ours:
        fcntl.flock(ours, fcntl.LOCK_EX)
        assert _holders(tmp_path / "lock") == [os.getpid()]
    assert _holders(tmp_path / "lock") == []
