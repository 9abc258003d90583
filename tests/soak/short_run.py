"""A soak of a few seconds, run as `make soak` runs a long one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

LIMIT_SECONDS: Final = 280
"""The time limit of a test that runs one."""


def run_short(
    module: str, folder: Path, seconds: int, seed: int, faults: str, *more: str
) -> tuple[dict[str, Any], str]:
    """Run a soak with one client of each kind; it must end with exit code 0.

    Args:
        module: The soak.
        folder: Where its result goes.
        seconds: Its length.
        seed: Its seed.
        faults: The names of the faults, with commas.
        more: Further words of the command line.

    Returns:
        The result, and what was printed.
    """
    result = folder / "result.json"
    words = ["--seconds", str(seconds), "--seed", str(seed), "--only", faults, "--clients", "1", *more]
    run = subprocess.run(
        [sys.executable, "-m", module, *words, "--result", str(result)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS - 10,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(result.read_text(encoding="utf-8")), run.stdout
