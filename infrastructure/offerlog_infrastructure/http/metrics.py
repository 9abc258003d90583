"""Metrics for Prometheus."""

import time
from collections import Counter as Counted
from collections.abc import Awaitable, Iterable, Sequence
from importlib.metadata import version
from math import isnan
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.status.assessments import is_healthy
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason
from offerlog_infrastructure.http.request_durations import RequestDurations
from offerlog_infrastructure.http.shared.metric_exchange import MetricExchange
from offerlog_infrastructure.http.store_metrics import StoreMetrics
from offerlog_infrastructure.http.webhook_metrics import describe_webhooks

T = TypeVar("T")


class ServiceMetrics(Collector):
    """Counters of this process, and gauges that are read from the store at each scrape.

    Args:
        service: The service.
        exchange: Gathers the metrics of all processes of the service; None where there is one. It serves
            those of this process from now on.

    Attributes:
        requests: Durations of requests.
    """

    def __init__(self, service: Offerlog, exchange: MetricExchange | None = None) -> None:
        self._service = service
        self._exchange = exchange
        self._version = version("offerlog")
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
        self.requests = RequestDurations()
        self._store = StoreMetrics(service.operations)
        for collector in (self, self.requests, self._store):
            self._registry.register(collector)
        self._process = ProcessCollector(registry=self._registry)
        if exchange is not None:
            exchange.serve(self._describe_process)

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count the outcomes of a batch."""
        self._batch.observe(len(outcomes))
        if len(outcomes) == 1:
            self._counter_of(outcomes[0].kind, outcomes[0].reason).inc()
            return
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
        if self._exchange is None:
            return generate_latest(self._registry)
        whole = CollectorRegistry()
        whole.register(_Collected(self._exchange.complete(list(self._registry.collect()))))
        return generate_latest(whole)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that are not counted here; the registry calls this."""
        build = GaugeMetricFamily("offerlog_build_info", "1, with the version", labels=["version"])
        build.add_metric([self._version], 1)
        return [build, *self._projection_gauges(), *self._describe_writer()]

    def _describe_process(self) -> Iterable[Metric]:
        """Yield the metrics of this process alone: the others add them to theirs."""
        for counted in (self._outcomes, self._commit, self._batch, self.requests, self._process):
            yield from counted.collect()
        yield from self._describe_writer()
        yield from self._store.pool_gauges()

    def _describe_writer(self) -> list[Metric]:
        """Return what this process knows of its writer, its calls of the store and its witnesses."""
        blocked = GaugeMetricFamily("offerlog_offers_blocked", "Offers blocked", labels=["reason"])
        for reason, count in self._service.blocked_offers().items():
            blocked.add_metric([reason.value], count)
        return [*self._writer_gauges(), *self._store_metrics(), blocked, *self._witness_gauges()]

    def _witness_gauges(self) -> list[Metric]:
        evidence = self._service.evidence
        if evidence is None:
            return []
        cosigned = GaugeMetricFamily(
            "offerlog_cosigned_events", "Events that a witness has cosigned", labels=["witness"]
        )
        for name, size in evidence.cosigned.items():
            cosigned.add_metric([name], size)
        return [cosigned]

    def _projection_gauges(self) -> list[Metric]:
        """Return the gauges that are read from the store; none while the store is unavailable."""
        lag = GaugeMetricFamily(
            "offerlog_projection_lag_seconds",
            "Age of the oldest event that is not projected yet; NaN if it cannot be read",
            labels=["projection"],
        )
        behind = GaugeMetricFamily(
            "offerlog_projection_lag_events", "Events that are not projected yet", labels=["projection"]
        )
        dead = GaugeMetricFamily(
            "offerlog_dead_letter_events",
            "Events that a projection lacks: those that failed, and those behind them in their visitor-offer",
            labels=["projection"],
        )
        healthy = GaugeMetricFamily(
            "offerlog_projection_healthy",
            "1 if the projection lags by at most a minute and has no dead letters",
            labels=["projection"],
        )
        try:
            servers = self._service.progress_of_servers()
            others: list[Metric] = []
            if all(
                server.trouble is None for server in servers
            ):  # else a scrape would wait for one that hangs
                others += [*self._seal_gauges(), *self._subscription_gauges()]
                others += describe_webhooks(self._service.webhooks.of_all_organizations())
        except StoreUnavailableError:  # `_store_metrics` counts it with its reason
            return []
        if len(servers) > 1:
            answers = GaugeMetricFamily(
                "offerlog_shard_answers", "1 if the server of a shard answers", labels=["shard"]
            )
            for server in servers:
                answers.add_metric([str(server.number)], server.trouble is None)
            others.append(answers)
        for status in [one for server in servers for one in server.statuses]:
            seconds = float("nan") if status.lag_seconds is None else status.lag_seconds
            lag.add_metric([status.name], seconds)
            behind.add_metric([status.name], status.lag_events)
            dead.add_metric([status.name], status.short_by)
            healthy.add_metric([status.name], is_healthy(status))
        return [lag, behind, dead, healthy, *others]

    def _seal_gauges(self) -> list[Metric]:
        """Return the seal lag: what is in the logs and not in their trees yet: nothing protects it."""
        evidence = self._service.evidence
        if evidence is None:
            return []
        trees = [one.progress() for one in evidence.of_servers().values()]
        ages = [float("nan") if one.lag_seconds is None else one.lag_seconds for one in trees]
        seconds = float("nan") if any(map(isnan, ages)) else max(ages)
        lag, sealed = sum(one.lag_events for one in trees), sum(one.size for one in trees)
        return [
            _gauge("offerlog_seal_lag_events", "Events that are not in the tree yet", lag),
            _gauge("offerlog_seal_lag_seconds", "Age of the first of them", seconds),
            _gauge("offerlog_sealed_events", "Events in the tree", sealed),
        ]

    def _subscription_gauges(self) -> list[Metric]:
        """Return the lag of the readers of the feed."""
        labels = ["organization", "subscription"]
        behind = GaugeMetricFamily(
            "offerlog_subscription_lag_events", "Events not acknowledged", labels=labels
        )
        lag = GaugeMetricFamily(
            "offerlog_subscription_lag_seconds", "Age of the first of them", labels=labels
        )
        for one in self._service.subscriptions.of_all_organizations():
            behind.add_metric([one.organization, one.name], one.lag_events)
            seconds = float("nan") if one.lag_seconds is None else one.lag_seconds
            lag.add_metric([one.organization, one.name], seconds)
        return [behind, lag]

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
            "offerlog_writer_stalled_seconds": (
                "Age of the group that is being written",
                health.stalled_seconds,
            ),
            "offerlog_writer_incidents": ("Groups that an unexpected error ended", health.incidents),
        }
        return [_gauge(name, meaning, value) for name, (meaning, value) in gauges.items()]


class _Collected(Collector):
    """Metrics that have been collected."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _gauge(name: str, meaning: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, meaning)
    gauge.add_metric([], value)
    return gauge
