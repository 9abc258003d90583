"""The report for people: progress while a soak runs, and a table at its end."""

import os
import time
from collections import Counter
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from soak.evidence import KINDS
from soak.result import Result, middle

_MAX_SHOWN = 5
"""Violations of one check that are printed."""
_MAX_CHECKS = 12
_PLAIN_SECONDS = 10.0
"""How often a line is printed where there is no terminal."""


class ProgressLine:
    """A bar on a terminal; elsewhere a plain line every ten seconds. NO_COLOR is obeyed.

    Args:
        stream: Standard error.
        seconds: How long the soak sends.
    """

    def __init__(self, stream: TextIO, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds
        self._began = time.monotonic()
        self._printed = self._began
        console = Console(file=stream, no_color="NO_COLOR" in os.environ, highlight=False)
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (BarColumn(30), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=seconds)
            self._bar.start()

    def show(self, words: str) -> None:
        """Show how far it is, and what is going on."""
        now = time.monotonic()
        elapsed = min(now - self._began, self._seconds)
        if self._bar is not None:
            self._bar.update(self._task, completed=elapsed, description=words)
        elif now - self._printed >= _PLAIN_SECONDS:
            self._printed = now
            self._stream.write(f"{elapsed:.0f} of {self._seconds:.0f} s: {words}\n")
            self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


def show(result: Result, stream: TextIO) -> None:
    """Print the result."""
    console = Console(file=stream, no_color="NO_COLOR" in os.environ, highlight=False)
    if not console.is_terminal:
        console = Console(file=stream, no_color=True, width=110, highlight=False)
    table = Table(title="Faults injected", title_justify="left", box=None, header_style="bold")
    table.add_column("fault")
    for name in ("times", "silence, median", "longest"):
        table.add_column(name, justify="right")
    table.add_column("not injected")
    for name, figures in result.faults.items():
        skipped = "; ".join(f"{count} x {why}" for why, count in figures.skipped.items())
        longest = max(figures.silences, default=0.0)
        silence = (f"{middle(figures.silences):.2f} s", f"{longest:.2f} s") if figures.injected else ("", "")
        table.add_row(name, f"{figures.injected:,}", *silence, skipped)
    console.print(table)
    out = console.out
    out()
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(result.outcomes.items()))
    out(f"{sum(result.outcomes.values()):,} outcomes acknowledged: {outcomes}")
    requests = ", ".join(f"{count:,} {name}" for name, count in sorted(result.requests.items()))
    out(f"{sum(result.requests.values()):,} requests: {requests}")
    ways = ", ".join(f"{count:,} by {name}" for name, count in sorted(result.ways.items()))
    out(f"answered: {ways}")
    out(f"{result.events:,} events in the log, of {result.streams:,} visitor-offers")
    for words in result.readers:
        out(words)
    kinds = dict.fromkeys(KINDS, 0)
    for one in result.violations:
        kinds[one.kind] += 1
    out(", ".join(f"{name}: {count}" for name, count in kinds.items()))
    shown: Counter[str] = Counter()
    for one in result.violations:
        shown[one.check] += 1
        if shown[one.check] <= _MAX_SHOWN and len(shown) <= _MAX_CHECKS:
            out(f"VIOLATION ({one.check}; {one.kind}): {one.what}")
    if len(result.violations) > _MAX_SHOWN:
        out("as JSON (RESULT=...), the result has all of them")
    out(f"{'failed' if result.violations else 'no violation'}; again: {result.command}")
