"""Metrics for Prometheus."""

import time
from collections import Counter as Counted
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason

T = TypeVar("T")


class ServiceMetrics(Collector):
    """Counters of this process, and gauges that are read from the store at each scrape."""

    def __init__(self, service: Offerlog) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._outcomes = Counter(
            "offerlog_outcomes",
            "Signals by outcome and reason",
            ["outcome", "reason"],
            registry=self._registry,
        )
        self._counters: dict[tuple[OutcomeKind, Reason | None], Counter] = {}
        self._commit = Histogram(
            "offerlog_commit_seconds",
            "From a request's hand-in until its outcomes are durable",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self._registry,
        )
        self._batch = Histogram(
            "offerlog_request_signals",
            "Signals of a request",
            buckets=(1, 2, 5, 10, 100, 1_000, 10_000),
            registry=self._registry,
        )
        self._registry.register(self)

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count the outcomes of a batch."""
        self._batch.observe(len(outcomes))
        for pair, count in Counted([(one.kind, one.reason) for one in outcomes]).items():
            self._counter_of(*pair).inc(count)

    def _counter_of(self, kind: OutcomeKind, reason: Reason | None) -> Counter:
        counter = self._counters.get((kind, reason))
        if counter is None:
            counter = self._counters[kind, reason] = self._outcomes.labels(kind, reason or "")
        return counter

    async def time_commit(self, commit: Awaitable[T]) -> T:
        """Wait for a commit and observe its duration."""
        began = time.perf_counter()
        result = await commit
        self._commit.observe(time.perf_counter() - began)
        return result

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that are not counted here; the registry calls this."""
        blocked = GaugeMetricFamily("offerlog_offers_blocked", "Offers blocked", labels=["reason"])
        for reason, count in self._service.blocked_offers().items():
            blocked.add_metric([reason.value], count)
        return [*self._projection_gauges(), *self._writer_gauges(), *self._store_metrics(), blocked]

    def _projection_gauges(self) -> list[Metric]:
        """Return the gauges that are read from the store; none while the store is unavailable."""
        lag = GaugeMetricFamily(
            "offerlog_projection_lag_seconds", "Age of what is missing", labels=["projection"]
        )
        behind = GaugeMetricFamily("offerlog_projection_lag_events", "Events missing", labels=["projection"])
        dead = GaugeMetricFamily("offerlog_dead_letter_events", "Events that wait", labels=["projection"])
        try:
            statuses = self._service.projections()
        except StoreUnavailableError:  # `_store_metrics` counts it with its reason
            return []
        for status in statuses:
            seconds = float("nan") if status.lag_seconds is None else status.lag_seconds
            lag.add_metric([status.name], seconds)
            behind.add_metric([status.name], status.lag_events)
            dead.add_metric([status.name], status.short_by)
        return [lag, behind, dead]

    def _store_metrics(self) -> list[Metric]:
        """Return the failed calls of the store by reason, and its trouble now."""
        failures = CounterMetricFamily(
            "offerlog_store_failures", "Calls of the store that failed", labels=["reason"]
        )
        now = GaugeMetricFamily(
            "offerlog_store_trouble", "1 for the reason why nothing can be written now", labels=["reason"]
        )
        current = self._service.store_trouble()
        for trouble, count in self._service.store_failures().items():
            failures.add_metric([trouble.value], count)
            now.add_metric([trouble.value], current is not None and current.trouble is trouble)
        return [failures, now]

    def _writer_gauges(self) -> list[Metric]:
        """Return the gauges of this process's writer."""
        health = self._service.writer_health()
        gauges = {
            "offerlog_queue_depth": ("Signals that wait to be written", health.waiting),
            "offerlog_writer_alive": ("1 while the writer's thread runs", health.alive),
            "offerlog_writer_stalled_seconds": ("Age of the group being written", health.stalled_seconds),
            "offerlog_writer_incidents": ("Groups broken off unforeseen", health.incidents),
        }
        found: list[Metric] = []
        for name, (meaning, value) in gauges.items():
            gauge = GaugeMetricFamily(name, meaning)
            gauge.add_metric([], value)
            found.append(gauge)
        return found
