"""Which work of the service has which threads: a flood of one kind never reaches another kind.

Few threads are enough: they all share one interpreter, and more of them only make each slower.
"""

from typing import Final

from offerlog_infrastructure.http.threads.fair_threads import FairThreads

REPORTS_EACH: Final = 2
"""How many reports, lists and histories of one organization are read at once."""


class ThreadPools:
    """The threads of one application.

    Attributes:
        look_ups: Suppressions of a visitor or of a batch: what page views wait for. By organization.
        eligibility: Visitor-offers read from the log to explain a decision. By organization.
        reports: Reports, lists, histories: what may take long. By organization.
        submissions: Many signals at once, read before they are handed to the writer. By organization.
        keys: Keys looked up in the store. By peer address, as nobody knows yet whose they are.
    """

    def __init__(self) -> None:
        self.look_ups = FairThreads(8, each=6, waiting=2_000, waiting_each=500)
        self.eligibility = FairThreads(3, each=2, waiting=400, waiting_each=100)
        self.reports = FairThreads(4, each=REPORTS_EACH, waiting=400, waiting_each=100)
        self.submissions = FairThreads(2, each=1, waiting=1_000, waiting_each=250)
        self.keys = FairThreads(2, each=1, waiting=1_000, waiting_each=50)
