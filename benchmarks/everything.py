"""All benches, one after the other, and two tables at the end; with `--keep`, in docs/performance.md too."""

import re
import subprocess
import sys
from pathlib import Path

from goals import everything, reached, read

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

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def main(arguments: list[str]) -> int:
    """Run them; returns how many failed."""
    said: list[str] = []
    failed = 0
    for bench in BENCHES:
        script = Path(__file__).with_name(f"{bench}.py")
        more = FULL.get(bench, []) if "--full" in arguments else []
        run = subprocess.run(
            [sys.executable, str(script), *more], capture_output=True, text=True, check=False
        )
        sys.stdout.write(run.stdout)
        sys.stdout.flush()
        said += run.stdout.splitlines()
        if run.returncode:
            sys.stderr.write(f"{bench} failed:\n{run.stderr}")
            failed += 1
    results = read(said)
    sys.stdout.write(f"\n{everything(results)}")
    if not failed:
        sys.stdout.write(f"\n{reached(results)}")
        if "--keep" in arguments:
            keep(PAGE, {"reached": reached(results), "everything": everything(results)})
    return failed


def keep(page: Path, tables: dict[str, str]) -> None:
    """Put tables in the places of a page that are marked for them."""
    text = page.read_text()
    for name, table in tables.items():
        marked = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, times = re.subn(marked, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        assert times == 1, f"{page} has no place for {name}"
    page.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
