"""`python -m soak`, from the folder `tests`; `make soak` runs it."""

import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from soak.faults import load
from soak.options import parse
from soak.report import show
from soak.run import soak


def main(words: list[str]) -> int:
    """Run a soak; returns the exit code. SIGINT and SIGTERM end it, and its processes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    options, is_list = parse(words)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
