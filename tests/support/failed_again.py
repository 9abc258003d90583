"""Run the tests again, one at a time, that failed while the others ran beside them; `make test` ends with it.

Some tests measure time, or wait for processes that get their turn too late, because other programs share the
machine. A fault of the code fails alone too. What passes alone is listed, so that nobody overlooks it: such a
test needs work as well. Decision 55 says why.
"""
# ruff: noqa: T201 - it prints for those who ran make

import json
import subprocess
import sys
from pathlib import Path

MOST = 5
"""More failed tests than these are no accident, and are not tried again."""

_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_SECONDS = 240


def main() -> int:
    """Return the exit code of `make test`: 0 if each test that failed has passed alone."""
    names = sorted(json.loads(_FAILED.read_text())) if _FAILED.exists() else []
    if not 1 <= len(names) <= MOST:
        print(f"{len(names)} tests failed; only 1 to {MOST} would be tried again", flush=True)
        return 1
    print(f"\ntrying again, alone, {len(names)} of the tests (see above how they failed):", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *names]
    try:
        code = subprocess.run(command, check=False, timeout=_SECONDS).returncode
    except subprocess.TimeoutExpired:
        print(f"they took longer than {_SECONDS} s", flush=True)
        return 1
    if code == 0:
        print("failed beside the others, passed alone; look at:", *names, sep="\n  ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
