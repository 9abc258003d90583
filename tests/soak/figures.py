"""The figures of a result as a table for docs/reliability.md: `python -m soak.figures RESULT.json`."""

import json
import sys
from pathlib import Path

from soak.result import middle


def table(result: Path) -> str:
    """Make the table, and the lines below it."""
    document = json.loads(result.read_text(encoding="utf-8"))
    lines = ["| fault | times | silence of all clients, median | longest |", "|---|---|---|---|"]
    for name, figures in document["faults"].items():
        if figures["injected"]:
            silences = figures["silences"]
            lines.append(
                f"| {name} | {figures['injected']} | {middle(silences):.1f} s | {max(silences):.1f} s |"
            )
    kinds = {"lost": 0, "doubled": 0, "contradicted": 0, "other": 0} | document["violations_by_kind"]
    counts = {
        **document["requests"],
        "acknowledged": document["acknowledged"],
        "events": document["events"],
    } | kinds
    return "\n".join(
        [*lines, "", document["command"], ", ".join(f"{name} {n:,}" for name, n in counts.items())]
    )


if __name__ == "__main__":
    sys.stdout.write(f"{table(Path(sys.argv[1]))}\n")
