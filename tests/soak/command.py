"""The command line of a soak: a folder for it, its faults, its report, its exit code."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from soak.faults import Fault
from soak.options import Options, parse
from soak.report import show
from soak.result import Result


def run_soak(
    words: list[str],
    target: str,
    load: Callable[[Sequence[str]], list[Fault]],
    soak: Callable[[Options, Sequence[Fault], Path], Result],
) -> int:
    """Run a soak; returns the exit code. SIGINT and SIGTERM end it, and its processes.

    Args:
        words: The command line.
        target: The target of `make` that runs it.
        load: Returns the faults that some words name.
        soak: Runs it in an empty folder.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    options, is_list = parse(words, target)
    try:
        faults = load(options.only)
    except ValueError as error:
        sys.stderr.write(f"soak: {error}\n")
        return 2
    if is_list:
        sys.stdout.writelines(f"{one.name} (weight {one.weight})\n" for one in faults)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="offerlog-soak-", dir=options.folder))
    folder.chmod(0o755)  # the server's user passes through
    sys.stderr.write(f"seed {options.seed}; folder {folder}\n")
    is_kept = True  # of a run that failed
    try:
        result = soak(options, faults, folder)
        is_kept = options.keep or bool(result.violations)
    finally:
        if is_kept:
            sys.stderr.write(f"kept: {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    show(result, sys.stdout)
    if options.result is not None:
        options.result.write_text(result.json(), encoding="utf-8")
    return 1 if result.violations else 0


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
