"""`python -m models`, from the folder `tests`; `make model` runs it."""

import sys
import time

from models.checks import LARGE, SMALL
from models.search import missing_program, search


def main() -> int:
    """Search all models, and print how much was searched; returns the exit code."""
    if (missing := missing_program()) is not None:
        sys.stderr.write(f"models: the program {missing} is not installed\n")
        return 2
    failed = 0
    for check in [*SMALL, *LARGE]:
        began = time.monotonic()
        found = search(check, optimize=check in LARGE)
        took = time.monotonic() - began
        words = found.violation or "nothing found"
        sys.stdout.write(f"{check}\n  {found.states:>12,} states in {took:5.1f} s: {words}\n")
        sys.stdout.flush()
        if (found.violation is None) is not (check.fault is None):
            failed += 1
            sys.stdout.write(f"  WRONG: {'it must be found' if check.fault else found.steps}\n")
    total = len(SMALL) + len(LARGE)
    sys.stdout.write(f"{total - failed} of {total} searches ended as they should\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
