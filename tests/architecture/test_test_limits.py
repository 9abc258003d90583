"""The limits of tests work: a test that hangs fails, a child that hangs is killed, SIGINT arrives."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.processes import LimitedProcess

HANGING = """
import signal, subprocess, sys, threading, time, pytest

@pytest.mark.time_limit(0.5)
def test_hangs():
    threading.Event().wait(60)

@pytest.mark.time_limit(0.5)
def test_swallows_errors():
    try:
        time.sleep(60)
    except Exception:
        pass

@pytest.fixture
def endless():
    yield
    time.sleep(60)

@pytest.mark.time_limit(0.5)
def test_hangs_when_it_is_undone(endless):
    pass

def test_is_quick():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    printed = subprocess.check_output([sys.executable, "-c", child], text=True, timeout=30)
    assert printed == "True\\n"
"""
IN_THE_BACKGROUND = 'trap \'\' INT; exec "$0" "$@"'
"""Starts a program as a shell without job control starts its background jobs: with SIGINT ignored."""


def test_a_test_that_hangs_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    """In its body and in its fixtures, with SIGINT ignored where the run began."""
    # given
    (tmp_path / "test_it.py").write_text(HANGING)
    words = ["-m", "pytest", "-q", "-p", "support.time_limits", "-p", "no:cacheprovider", "test_it.py"]
    tests = Path(__file__).parents[1]
    # when
    run = subprocess.run(
        ["bash", "-c", IN_THE_BACKGROUND, sys.executable, *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tests), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    # then
    assert "2 failed, 2 passed, 1 error" in run.stdout
    assert "call of test_it.py::test_hangs took longer than 0.5 s" in run.stdout
    assert "teardown of test_it.py::test_hangs_when_it_is_undone took longer than 0.5 s" in run.stdout
    assert "most recent call first" in run.stderr, "the stacks of all threads"


def test_a_test_that_takes_no_signal_ends_the_run() -> None:
    """Better a broken run than one that never ends."""
    # given
    code = (
        "import sys, threading, signal\n"
        "from support.time_limits import limited\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
        "with limited(0.2, 'this', sys.stderr, hard=0.3):\n"
        "    threading.Event().wait(50)\n"
    )
    # when
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    # then
    assert run.returncode == 1
    assert "Timeout" in run.stderr


def test_a_child_that_hangs_is_killed_and_a_read_from_it_ends(capfd: pytest.CaptureFixture[str]) -> None:
    """The reader gets the end of the pipe."""
    # given
    words = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(100)"]
    began = time.monotonic()
    # when
    with LimitedProcess(words, seconds=1.5, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
    # then
    assert time.monotonic() - began < 50
    assert text == "here\n"
    assert process.is_overdue
    assert "killed after 1.5 s" in capfd.readouterr().err


def test_a_child_is_killed_when_the_block_fails() -> None:
    """Nobody waits for it then."""
    # given
    process = LimitedProcess(["sleep", "100"])
    # when
    with pytest.raises(ZeroDivisionError), process:
        1 / 0  # noqa: B018 - an error in the block
    # then
    assert process.poll() == -9
