"""The supervisor of several processes, in a process without threads."""

import signal
import subprocess
import sys

import pytest

from offerlog_infrastructure.worker_count import count_cores, read_count
from support.processes import LimitedProcess

PROGRAM = """
import logging, os, signal, sys, time
from offerlog_infrastructure.workers import supervisor as rooms

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s", force=True)
ended = []

def live(number, report):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if number == 2 and sys.argv[1] == "fails":
        return 7
    try:
        report({"number": number})
        if number == 1 and sys.argv[1] == "dies":
            return 3
        time.sleep(60)
    except SystemExit:
        os.write(1, f"in order {number}\\n".encode())
    return 0

def note_end(number, is_soon_back):
    ended.append(is_soon_back)
    if len(ended) == 2:
        os.kill(os.getpid(), signal.SIGTERM)

made = rooms.Supervisor(2, live, lambda number: None, note_end)
try:
    print(made.start(lambda: print("background is ready", flush=True)), sorted(made.pids), flush=True)
    made.watch(lambda: print("watching", flush=True))
except rooms.ProcessEndedError as error:
    print("ended with", error.code, flush=True)
made.stop()
print("pauses", [not one for one in ended], flush=True)
"""


def run(mode: str, *, stop: bool = False) -> list[str]:
    """Run the program and return its lines; with `stop`, it gets SIGINT once it watches."""
    with LimitedProcess(
        [sys.executable, "-c", PROGRAM, mode], stdout=subprocess.PIPE, text=True, seconds=30
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if stop and "watching" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    return lines


def test_processes_end_in_order_and_the_background_last() -> None:
    """The background is ready before the others start; its report is the answer."""
    lines = run("works", stop=True)
    assert lines[:3] == ["background is ready", "{'number': 0} [0, 1, 2]", "watching"]
    assert sorted(lines[3:5]) == ["in order 1", "in order 2"]
    assert lines[5] == "in order 0"


def test_one_that_dies_again_and_again_starts_again_after_a_pause() -> None:
    """At once for the first time; the supervisor says each time with which code it ended."""
    lines = run("dies")
    reports = [line for line in lines if line.startswith("worker 1")]
    assert "ended with 3; it starts again at once" in reports[0]
    assert any("ended with 3; it starts again in 1 s" in line for line in reports)
    assert lines[-1] == "pauses [False, True]"


def test_one_that_cannot_start_ends_the_service() -> None:
    """With its exit code; the others end in order."""
    lines = run("fails")
    assert "ended with 7" in lines
    assert "in order 0" in lines
    assert "watching" not in lines


def test_a_number_of_workers_is_a_number_or_auto() -> None:
    """From 1 to 64; `auto` is one for each core."""
    assert read_count("4") == 4
    assert read_count(" AUTO ") == count_cores() >= 1
    for wrong in ("0", "65", "-1", "two", "1.5", "", 0, None, 2.0):
        with pytest.raises(ValueError, match="a number from 1 to 64 is needed, or auto"):
            read_count(wrong)
