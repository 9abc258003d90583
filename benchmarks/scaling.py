"""The same work by 1, 2 and 4 processes: sums over interleaved rounds, and how far they scale."""

import os
from collections.abc import Callable

COUNTS = (1, 2, 4)
ROUNDS = 2
"""The rounds are interleaved, so that the load of others meets all counts alike."""
DONE, SECONDS, BUSIEST, TOGETHER = "done", "seconds", "busiest process", "all processes"
"""The names under which each run gives its pieces of work, its time, and processor time in seconds."""


def compare_counts(
    measure: Callable[[int, int], dict[str, float]], unit: str, processes: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Measure every count in every round; returns figures a piece of work, and ratios to one process.

    Args:
        measure: Takes the number of processes and the number of the round.
        unit: A piece of work.
        processes: The word for the processes that are counted.
    """
    sums: dict[int, dict[str, float]] = {count: {} for count in COUNTS}
    for number in range(ROUNDS):
        for count in COUNTS:
            for name, value in measure(count, number).items():
                sums[count][name] = sums[count].get(name, 0.0) + value
    figures: dict[str, float] = {"cores": os.cpu_count() or 1}
    for count, found in sums.items():
        done = found.pop(DONE)
        figures[f"{unit}s/s, {count}"] = done / found.pop(SECONDS)
        for name, value in found.items():
            figures[f"{name}, us a {unit}, {count}"] = value / done * 1e6
    ratios: dict[str, float] = {}
    for count in COUNTS[1:]:
        busiest = [figures[f"{BUSIEST}, us a {unit}, {one}"] for one in (1, count)]
        ratios[f"{count} {processes}, by processor time"] = busiest[0] / busiest[1]
        together = [figures[f"{TOGETHER}, us a {unit}, {one}"] for one in (1, count)]
        ratios[f"{count} {processes}, processor time of a {unit}"] = together[1] / together[0]
        ratios[f"{count} {processes}, by the clock"] = (
            figures[f"{unit}s/s, {count}"] / figures[f"{unit}s/s, 1"]
        )
    return figures, ratios
