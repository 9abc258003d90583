"""The counts in memory are read under the lock of their log."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.projections.page import Page
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_infrastructure.memory.counts import MemoryCounts
from offerlog_infrastructure.memory.log import MemoryLog

QUERY = ReportQuery("default")
CALLS: dict[str, Callable[[MemoryCounts], Any]] = {
    "apply": lambda counts: counts.apply(Page([], {})),
    "maps": lambda counts: counts.maps("default"),
    "slots": lambda counts: counts.slots(QUERY),
    "spans": lambda counts: counts.spans(QUERY, 0, 1, 1),
    "counts": lambda counts: counts.counts(QUERY, 0, 1, [(0, 0)], None),
    "names": lambda counts: counts.names("default", []),
    "action_maps": lambda counts: list(counts.action_maps("default")),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_count_is_read_or_changed_while_the_log_is_locked(name: str) -> None:
    """Each method waits for the lock that the writer holds."""
    log = MemoryLog(RefusalPolicy())
    thread = threading.Thread(target=CALLS[name], args=[log.counts], daemon=True)
    with log.lock:
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()
