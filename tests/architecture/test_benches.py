"""Benches end in bounded time, take everything with them, and say what they need."""

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.processes import LimitedProcess


def bench(root: Path, name: str) -> list[str]:
    """The words that start a bench."""
    return [sys.executable, str(root / "benchmarks" / f"{name}.py")]


def showing(text: str) -> list[str]:
    """The processes whose command line has a text in it."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True, timeout=30
    )
    return [line for line in listed.stdout.splitlines() if text in line]


def until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something holds; returns whether it does."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def folder() -> Path:
    """Where a bench puts its store; its server, another user, may enter."""
    run = Path(os.environ["OFFERLOG_TEST_FOLDER"])
    run.chmod(0o755)
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=run))
    made.chmod(0o755)
    return made


def test_every_bench_has_a_time_limit(root: Path) -> None:
    """From its first moment: before it has a store, too."""
    benches = [file for file in (root / "benchmarks").glob("*.py") if "__main__" in file.read_text()]
    assert len(benches) > 10
    for file in benches:
        assert "limited(" in file.read_text(), file


def test_all_benches_are_run_together_and_named(root: Path) -> None:
    """By `make bench`, and on the page about speed."""
    benches = {
        file.stem for file in (root / "benchmarks").glob("*.py") if '"__main__"' in file.read_text()
    } - {"everything"}
    listed = (root / "benchmarks" / "everything.py").read_text().partition("BENCHES = (")[2].partition(")")[0]
    page = re.search(
        r"make bench-report +# one of them: (.+)", (root / "docs" / "performance.md").read_text()
    )
    assert set(re.findall(r'"(\w+)"', listed)) == benches
    assert page is not None
    assert {one.replace("-", "_") for one in page[1].split(", ")} == benches


def test_a_bench_says_which_program_it_needs(root: Path, tmp_path: Path) -> None:
    """At once, before it measures anything."""
    # given a PATH without wrk
    environment = {"PATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    # when
    run = subprocess.run(
        bench(root, "http_service"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # then
    assert run.returncode == 1
    assert "http_service: the program wrk is not installed. To get it: apt-get install wrk" in run.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_bench_that_is_ended_leaves_no_process(root: Path, folder: Path, ending: signal.Signals) -> None:
    """Neither its store nor its writers; nor its folder, unless it was killed."""
    # given
    visitors = secrets.randbelow(100_000) + 300_000  # so that the writer is known by its command line
    writer = f"writers.py 0 {visitors}"
    with LimitedProcess(
        [*bench(root, "writers"), str(visitors)],
        env=os.environ | {"TMPDIR": str(folder)},
        stderr=subprocess.DEVNULL,
    ) as running:
        assert until(lambda: bool(showing(writer)))
        assert showing(str(folder))
        # when
        running.send_signal(ending)
        running.wait(60)
    # then
    assert until(lambda: not showing(str(folder)) and not showing(writer))
    assert ending is signal.SIGKILL or not list(folder.glob("offerlog-bench-*"))


def test_a_bench_that_takes_too_long_is_ended(root: Path, folder: Path) -> None:
    """With a message, and everything that it started."""
    # given
    environment = os.environ | {"TMPDIR": str(folder), "OFFERLOG_BENCH_SECONDS": "3"}
    # when
    run = subprocess.run(
        [*bench(root, "lag"), "600"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    # then
    assert run.returncode == 1
    assert "took longer than 3 s (OFFERLOG_BENCH_SECONDS), and was ended" in run.stderr
    assert not showing(str(folder))
    assert not list(folder.glob("offerlog-bench-*"))
