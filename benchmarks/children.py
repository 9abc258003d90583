"""What keeps a bench from hanging: time limits, children that end with it, and programs it needs.

A bench ends its children and its store on every way out: its end, an error, Ctrl-C, SIGTERM, its time limit.
After `kill -9` the children see the end of their standard input, and end themselves.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

SECONDS = float(os.environ.get("OFFERLOG_BENCH_SECONDS", "1800"))
"""Time limit of one bench, and of everything that it waits for."""
END_SECONDS = 20.0
"""A child that was asked to end is killed after this time."""
DSN = "OFFERLOG_BENCH_DSN"
"""The environment variable that hands a child the store's address: a command line would show its password."""
GET = {
    "wrk": "apt-get install wrk (Debian, Ubuntu), brew install wrk (macOS)",
}
"""How to get the programs that benches run."""


def missing(program: str) -> str | None:
    """Say that a program is not installed and how to get it; None if it is there."""
    if shutil.which(program):
        return None
    return f"the program {program} is not installed. To get it: {GET[program]}. Then run this again."


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Leave the block with an error after some seconds, and on SIGTERM.

    Raises:
        SystemExit: With a message after the time limit, with code 143 on SIGTERM.
    """

    def too_long(_number: int, _frame: FrameType | None) -> None:
        sys.exit(f"took longer than {seconds:g} s (OFFERLOG_BENCH_SECONDS), and was ended")

    def terminated(_number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, too_long), signal.signal(signal.SIGTERM, terminated)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGTERM, before[1])


@contextmanager
def child(
    *words: Any, seconds: float = SECONDS, dsn: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a process with text pipes on standard input and output; it has ended when the block is left.

    Leaving the block closes its standard input and waits for it; after an error it gets SIGTERM first. It is
    killed after `END_SECONDS`, and when it outlives its time limit, so no read from it can hang.
    """
    given = {**os.environ, DSN: dsn, **(environment or {})}
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=given)
    timer = threading.Timer(seconds + 2 * END_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield process
    except BaseException:
        process.terminate()
        raise
    finally:
        try:
            process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=END_SECONDS)
        timer.cancel()


def end_with_parent() -> threading.Event:
    """Send this process SIGTERM at the end of its standard input: whoever started it has ended.

    Returns:
        An event that is set when the first line comes in.
    """
    word = threading.Event()

    def watch() -> None:
        for _ in sys.stdin:
            word.set()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    return word
