"""A program that runs in a fork looks like one that was started: what it is given, how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.preloaded import preloaded
from support.processes import LimitedProcess

_THIS = "architecture.test_preloaded"


def report() -> None:
    """Print what this process sees, and end with 7."""
    print(sys.argv[1:], Path.cwd(), os.environ["ASKED"], sys.stdin.read(), sys.stdout.isatty())  # noqa: T201
    sys.stderr.write("trouble\n")
    sys.exit(7)


def wait() -> None:
    """Print the process id, wait, and say when Ctrl-C comes."""
    try:
        print(os.getpid(), flush=True)  # noqa: T201
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)


def test_a_fork_gets_all_and_ends_with_its_exit_code(tmp_path: Path) -> None:
    """Arguments, folder, environment, input; output, errors, exit code."""
    run = subprocess.run(
        [*preloaded(f"{_THIS}:report"), "a", "ü b"],
        input="given",
        capture_output=True,
        cwd=tmp_path,
        env={"ASKED": "yes"},
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.stderr) == (f"['a', 'ü b'] {tmp_path} yes given False\n", "trouble\n")
    assert run.returncode == 7


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_signal_reaches_the_fork(number: signal.Signals, code: int) -> None:
    """Also one that nobody can pass on."""
    with LimitedProcess(preloaded(f"{_THIS}:wait"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        fork = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(30) == code
    deadline = time.monotonic() + 30
    while Path(f"/proc/{fork}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
