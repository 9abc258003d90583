"""Plans of PostgreSQL, as EXPLAIN gives them in JSON."""

from collections.abc import Iterator
from typing import Any


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
