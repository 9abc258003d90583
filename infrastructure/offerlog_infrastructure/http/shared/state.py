"""State that an application shares with the other processes of its service, if it has others."""

from typing import Protocol

from offerlog_infrastructure.http.requests.rates import TokenBuckets, make_buckets
from offerlog_infrastructure.http.shared.counts import LocalCounts, OpenCounts
from offerlog_infrastructure.http.shared.metric_exchange import MetricExchange


class SharedState(Protocol):
    """The state of a service.

    Attributes:
        workers: The number of its processes that answer HTTP.
        exchange: Gathers the metrics of all processes; None where there is one.
    """

    workers: int
    exchange: MetricExchange | None

    def make_buckets(self, name: str, per_second: float, burst: float, debt: float = 0.0) -> TokenBuckets:
        """Make token buckets, which all processes draw from."""

    def counts(self, name: str) -> OpenCounts:
        """Return the counts with this name."""


class OneProcess:
    """The state of a service that has one process: it is in the memory of this process."""

    workers = 1
    exchange: MetricExchange | None = None

    def make_buckets(self, name: str, per_second: float, burst: float, debt: float = 0.0) -> TokenBuckets:
        """Make token buckets."""
        return make_buckets(name, per_second, burst, debt)

    def counts(self, name: str) -> OpenCounts:
        """Return new counts."""
        del name
        return LocalCounts()
