"""The number of processes of a service: a number, or `auto` for as many as this process has cores."""

import math
import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

AUTO: Final = "auto"
MOST: Final = 64
"""The most processes of one service."""

_CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""The limit of a container on Linux: microseconds of processor time, and the period they are spent in."""


def count_cores() -> int:
    """Return the number of cores that this process may use: those of the machine, or fewer in a container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # not Linux, or "max": no limit
        return max(1, cores)


def read_count(value: object) -> int:
    """Read a number of processes.

    Raises:
        ValueError: It is neither `auto` nor a whole number from 1 to 64.
    """
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return min(count_cores(), MOST)
    try:
        count = int(value) if isinstance(value, int | str) else 0
    except ValueError:
        count = 0
    if not 1 <= count <= MOST:
        raise ValueError(f"a number from 1 to {MOST} is needed, or {AUTO} for one a core, not {value!r}")
    return count


WorkerCount = Annotated[int, BeforeValidator(read_count)]
"""A setting that is a number of processes."""
