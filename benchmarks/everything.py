"""All benches, one after the other, and one table at the end."""

import json
import subprocess
import sys
from pathlib import Path

BENCHES = (
    "ingest_one",
    "ingest_bulk",
    "writers",
    "lag",
    "growth",
    "size",
    "replay",
    "lookup",
    "report",
    "http_service",
)

FULL = {"growth": ["--full"], "report": ["10000000"]}
"""What takes the benches whose answer depends on it to 10 million events."""


def main(arguments: list[str]) -> int:
    """Run them; returns how many failed."""
    results, failed = [], 0
    for bench in BENCHES:
        script = Path(__file__).with_name(f"{bench}.py")
        more = FULL.get(bench, []) if "--full" in arguments else []
        run = subprocess.run(
            [sys.executable, str(script), *more], capture_output=True, text=True, check=False
        )
        sys.stdout.write(run.stdout)
        sys.stdout.flush()
        if run.returncode:
            sys.stderr.write(f"{bench} failed:\n{run.stderr}")
            failed += 1
        else:
            results.append(json.loads(run.stdout.splitlines()[-1]))
    sys.stdout.write("\n| bench | figure | value |\n|---|---|---:|\n")
    for result in results:
        for name, value in result["figures"].items():
            sys.stdout.write(f"| {result['bench']} | {name} | {value:,.1f} |\n")
        for name, value in result["ratios"].items():
            sys.stdout.write(f"| {result['bench']} | **{name}** | **{value:.2f} x** |\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
