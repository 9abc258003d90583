"""The counts of the performance projection in memory, of whole pages at once."""

from collections.abc import Sequence

from offerlog_application.projections.page import Page
from offerlog_infrastructure.memory.counts import MemoryCounts


def count_pages(pages: Sequence[Page]) -> MemoryCounts:
    """Return what the performance projection counts after these pages."""
    counts = MemoryCounts()
    for page in pages:
        counts.apply(page)
    return counts
