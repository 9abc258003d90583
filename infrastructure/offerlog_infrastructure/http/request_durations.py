"""Requests by route and status, with a histogram of their seconds, for Prometheus.

It counts by itself, without the locks of the client library: the event loop alone counts, and every request
pays for it.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets, in seconds."""

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""The other methods are counted together, because a caller can invent any number of them."""


class _Durations:
    """Requests of one kind: their number in each bucket, and the sum of their seconds."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class RequestDurations(Collector):
    """Durations of requests by method, route template and class of status; one thread may count."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str | None, int], _Durations] = {}

    def observe(self, method: str, route: str | None, status: int | None, seconds: float) -> None:
        """Count one request.

        Args:
            method: Its method.
            route: The template of its route, without ids; None if there is no such route.
            status: The status of the answer; None if the client went before there was one.
            seconds: The time from its headers to the end of the answer.
        """
        kind = method, route, (status or 0) // 100
        counted = self._kinds.get(kind)
        if counted is None:
            known = method if method in _METHODS else "other"
            counted = self._kinds.setdefault((known, route, kind[2]), _Durations())
        counted.counts[bisect_left(BUCKETS, seconds)] += 1
        counted.seconds += seconds

    def collect(self) -> Iterable[Metric]:
        """Return the histogram; the registry calls this."""
        family = HistogramMetricFamily(
            "offerlog_http_request_duration_seconds",
            "Seconds from the headers of a request to the end of its answer",
            labels=["method", "route", "status"],
        )
        bounds = [*map(str, BUCKETS), "+Inf"]
        for (method, route, status), counted in list(self._kinds.items()):
            totals = accumulate(list(counted.counts))
            labels = [method, route or "", f"{status}xx" if status else "none"]
            family.add_metric(labels, list(zip(bounds, totals, strict=True)), counted.seconds)
        return [family]
