"""Threads of the service. Each kind of work has its own, so that a flood of one does not stop another.

Few threads are enough. All of them share one interpreter, and more threads only make each slower.
"""

from typing import Final

from offerlog_infrastructure.http.threads.fair_threads import FairThreads

REPORTS_EACH: Final = 2
"""Most reports, lists and histories of one organization that are read at once."""


class ThreadPools:
    """The threads of one application.

    Attributes:
        look_ups: Suppressions of a visitor or of a batch, which page views wait for. By organization.
        eligibility: Reads of a visitor-offer from the log, to explain a decision. By organization.
        reports: Reports, lists and histories, which may take long. By organization.
        feed: Pages of the feed, which are read one after the other anyway. By organization.
        submissions: Many signals at once, which are read before they go to the writer. By organization.
        keys: Look-ups of keys in the store. By peer address, because the organization is not known yet.
    """

    def __init__(self) -> None:
        self.look_ups = FairThreads(8, each=6, waiting=2_000, waiting_each=500)
        self.eligibility = FairThreads(3, each=2, waiting=400, waiting_each=100)
        self.reports = FairThreads(4, each=REPORTS_EACH, waiting=400, waiting_each=100)
        self.feed = FairThreads(2, each=1, waiting=1_000, waiting_each=250)
        self.submissions = FairThreads(2, each=1, waiting=1_000, waiting_each=250)
        self.keys = FairThreads(2, each=1, waiting=1_000, waiting_each=50)
