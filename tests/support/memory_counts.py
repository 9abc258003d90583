"""The counts of the performance projection in memory, of whole pages at once."""

from collections.abc import Sequence

from offerlog_application.projections.page import Page
from offerlog_infrastructure.memory import counts


class MemoryCounts(counts.MemoryCounts):
    """`PerformanceSource` in memory, as `offerlog.testing` has it, filled with pages."""

    def __init__(self, pages: Sequence[Page]) -> None:
        super().__init__()
        for page in pages:
            self.apply(page)
