"""All benches, one after the other, and two tables at the end; with `--keep`, in docs/performance.md too."""

import re
import subprocess
import sys
from pathlib import Path

from children import END_SECONDS, SECONDS, child, limited, missing
from goals import everything, reached, read

BENCHES = (
    "ingest_one",
    "ingest_bulk",
    "writers",
    "lag",
    "growth",
    "hot_offer",
    "size",
    "audit",
    "replay",
    "lookup",
    "report",
    "http_service",
    "http_latency",
    "workers",
    "record_processes",
    "shards",
    "move",
    "capacity",
    "export",
    "erase",
)

FULL = {"growth": ["--full"], "audit": ["--full"], "report": ["10000000"]}
"""The arguments of a full run, for benches whose answer depends on the size of the log."""
SHORT = {"export": ["--small"], "erase": ["--small"], "move": ["1000", "10000"]}
"""The arguments that keep benches short in any other run."""
FULL_SECONDS = 4 * 3600.0
"""Time limit of each bench of a full run."""
NEEDS = {"http_service": "wrk", "workers": "wrk"}
"""The program that a bench cannot do without."""

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def main(arguments: list[str]) -> int:
    """Run them; returns how many failed or had to be left out."""
    full = "--full" in arguments
    left_out = {bench: reason for bench, program in NEEDS.items() if (reason := missing(program))}
    for bench, reason in left_out.items():
        sys.stderr.write(f"{bench} is left out: {reason}\n")
    lines: list[str] = []
    failed = len(left_out)
    for bench in BENCHES:
        if bench in left_out:
            continue
        printed, error = run(
            bench, (FULL if full else SHORT).get(bench, []), FULL_SECONDS if full else SECONDS
        )
        sys.stdout.write(printed)
        sys.stdout.flush()
        lines += printed.splitlines()
        if error:
            sys.stderr.write(f"{bench} failed: {error}\n")
            failed += 1
    results = read(lines)
    sys.stdout.write(f"\n{everything(results)}\n{reached(results)}")
    if "--keep" in arguments and not failed:
        keep(PAGE, {"reached": reached(results), "everything": everything(results)})
    for bench, reason in left_out.items():
        sys.stderr.write(f"{bench} was left out: {reason}\n")
    return failed


def run(bench: str, arguments: list[str], seconds: float) -> tuple[str, str | None]:
    """Run one bench within a time limit; returns what it printed, and its error or None."""
    script = Path(__file__).with_name(f"{bench}.py")
    environment = {"OFFERLOG_BENCH_SECONDS": f"{seconds:g}"}
    limit = seconds + 4 * END_SECONDS
    with (
        limited(limit),
        child(sys.executable, script, *arguments, seconds=seconds, environment=environment) as process,
    ):
        try:
            printed, _ = process.communicate(timeout=seconds + END_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            printed, _ = process.communicate(timeout=END_SECONDS)
    return printed, f"exit code {process.returncode}; its error stands above" if process.returncode else None


def keep(page: Path, tables: dict[str, str]) -> None:
    """Put tables in the places of a page that are marked for them."""
    text = page.read_text()
    for name, table in tables.items():
        marked = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        literal = table.replace("\\", r"\\")
        text, times = re.subn(marked, rf"\g<1>{literal}\g<2>", text, flags=re.DOTALL)
        assert times == 1, f"{page} has no place for {name}"
    page.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
