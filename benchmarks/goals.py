"""What each bench must reach, and what it aims at; the table that says how far it came."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Results = Mapping[str, Mapping[str, Any]]
"""The JSON line of each bench, by its name."""


class Goal(NamedTuple):
    """One figure or ratio, and its bounds.

    Attributes:
        bench: Whose.
        asked: What is asked of it, for people.
        name: The figure's or ratio's name in the JSON line.
        must: What it must reach; what it must stay below where `least` is not set.
        aim: What it aims at; None for no more than that.
        unit: `x` for a ratio.
        least: Whether more is better.
    """

    bench: str
    asked: str
    name: str
    must: float
    aim: float | None
    unit: str = "x"
    least: bool = True

    def row(self, results: Results) -> str:
        """A line of a Markdown table."""
        result = results[self.bench]
        value = (result["ratios"] if self.unit == "x" else result["figures"])[self.name]
        reached = (
            "aim" if self._holds(value, self.aim) else "yes" if self._holds(value, self.must) else "**no**"
        )
        bounds = " | ".join("" if bound is None else self._describe(bound) for bound in (self.must, self.aim))
        return f"| {self.bench} | {self.asked} | {_number(value)} {self.unit} | {bounds} | {reached} |"

    def _holds(self, value: float, bound: float | None) -> bool:
        return bound is not None and (value >= bound if self.least else value < bound)

    def _describe(self, bound: float) -> str:
        return f"{'' if self.least else '< '}{bound:g} {self.unit}"


GOALS = (
    Goal("ingest-one", "beside the plain library, 8 threads; neither keeps projections", "vs_stock", 28, 40),
    Goal("ingest-bulk", "beside the COPY limit, one process", "vs_copy", 0.22, 0.3),
    Goal("writers", "beside the COPY limit, three processes", "vs_copy, 3 writers", 0.36, 0.5),
    Goal("workers", "two, single posts, by processor time", "2 workers, by processor time", 1.8, 2),
    Goal("workers", "two, single posts, by the clock", "2 workers, by the clock", 1.8, 2),
    Goal("record-processes", "two, by processor time", "2 processes, by processor time", 1.8, 2),
    Goal("record-processes", "two, by the clock", "2 processes, by the clock", 1.8, 2),
    Goal("replay", "beside the plain library, a runner a projection", "vs_stock", 160, 250),
    Goal("lookup", "through the service, beside a prepared SELECT", "vs_select", 0.8, 1),
    Goal("lookup", "through the local replica", "vs_select, replica", 0.8, 100),
    Goal("report", "one map hourly", "a: one map hourly, ms", 50, 10, "ms", least=False),
    Goal("report", "the same, beside SQL over the log", "vs_sql, a: one map hourly", 50, None),
    Goal("report", "all maps in total", "b: all maps in total, ms", 50, 10, "ms", least=False),
    Goal("report", "the same, beside SQL over the log", "vs_sql, b: all maps in total", 50, None),
    Goal("report", "all maps hourly, 72,000 rows", "c: all maps hourly, ms", 1_500, None, "ms", least=False),
    Goal("report", "the same, beside SQL over the log", "vs_sql, c: all maps hourly", 50, None),
    Goal("lag", "p99 at 2,000 signals/s", "lag p99, ms", 250, 50, "ms", least=False),
    Goal("growth", "ingest-one, most events beside fewest", "ingest-one, last vs first", 0.8, 1),
    Goal("growth", "the same, right behind a checkpoint", "behind a checkpoint, last vs first", 0.9, 1),
    Goal("growth", "look-ups, most events beside fewest", "look-ups, last vs first", 0.8, 1),
    Goal(
        "hot-offer",
        "one visitor-offer, last quarter of 10,000 actions beside first",
        "one visitor-offer, last vs first",
        0.8,
        1,
    ),
    Goal("hot-offer", "100,000 parked signals, last quarter beside first", "parked, last vs first", 0.8, 1),
    Goal("size", "an event, visitors and keys included", "all in, bytes", 380, 330, "bytes", least=False),
    Goal("audit", "verify, one process", "verify, events/s", 200_000, 300_000, "events/s"),
    Goal("audit", "the tree, an event", "tree, bytes an event", 40, 36, "bytes", least=False),
    Goal("audit", "a proof, p99", "proof p99, ms", 10, 5, "ms", least=False),
    Goal("audit", "ingest-bulk, with the sealer beside without", "ingest-bulk, sealing vs not", 0.85, 0.95),
    Goal("http", "single posts, beside a bare endpoint", "vs_bare", 1.0, 1.4),
    Goal("http", "look-ups, beside a thread and a statement for each", "look-ups, vs_thread_each", 5, 10),
    Goal("http", "NDJSON, beside ingest-bulk", "vs_bulk", 0.5, None),
    Goal("http-latency", "p99 of offers, 1,000/s", "offers at 1000/s, p99, ms", 25, 10, "ms", least=False),
)


def reached(results: Results) -> str:
    """The goals and what came of them, as Markdown."""
    head = "| bench | | measured | must | aim | reached |\n|---|---|---:|---:|---:|---|\n"
    return head + "".join(f"{goal.row(results)}\n" for goal in GOALS if goal.bench in results)


def everything(results: Results) -> str:
    """Every figure and ratio, as Markdown."""
    lines = ["| bench | figure | value |", "|---|---|---:|"]
    for bench, result in results.items():
        lines += [f"| {bench} | {name} | {_number(value)} |" for name, value in result["figures"].items()]
        lines += [
            f"| {bench} | **{name}** | {_number(value)} x |" for name, value in result["ratios"].items()
        ]
    return "\n".join(lines) + "\n"


def read(lines: Sequence[str]) -> Results:
    """The results in the output of benches."""
    bench_results = [json.loads(line) for line in lines if line.startswith('{"bench"')]
    return {one["bench"]: one for one in bench_results}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
