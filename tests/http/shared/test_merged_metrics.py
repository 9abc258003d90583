"""Metrics of several processes as those of one service."""

import math
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from offerlog_infrastructure.http.shared.merged_metrics import dump, keep_totals, merge
from offerlog_infrastructure.http.shared.metric_exchange import MetricExchange, note_end


class Process:
    """The metrics of one process."""

    def __init__(self, alive: float = 1.0) -> None:
        self._registry = CollectorRegistry()
        self.served = Counter("served", "Requests", ["status"], registry=self._registry)
        self.seconds = Histogram("seconds", "Durations", buckets=(0.1, 1.0), registry=self._registry)
        self._alive = alive

    def collect(self) -> list[Metric]:
        """Return them."""
        alive = GaugeMetricFamily("offerlog_writer_alive", "Alive", self._alive)
        depth = GaugeMetricFamily("offerlog_queue_depth", "Waiting", 3)
        lag = GaugeMetricFamily("lag", "Lag", math.nan)
        return [*self._registry.collect(), alive, depth, lag]


def values(metrics: list[Metric]) -> dict[str, float]:
    """Return the values of all samples by name and labels."""
    return {
        one.name + "".join(f" {value}" for value in one.labels.values()): one.value
        for metric in metrics
        for one in metric.samples
        if not one.name.endswith("_created")
    }


def test_counts_add_up_and_gauges_make_sense() -> None:
    """What was created counts from the oldest process; a label that only one has stays."""
    # given
    one, other = Process(), Process(alive=0.0)
    one.served.labels("200").inc(5)
    other.served.labels("200").inc(2)
    other.served.labels("500").inc()
    one.seconds.observe(0.05)
    other.seconds.observe(0.5)
    # when
    merged = merge(one.collect(), [dump(other.collect())])
    # then
    found = values(merged)
    assert found["served_total 200"] == 7
    assert found["served_total 500"] == 1
    assert [found[f"seconds_bucket {bound}"] for bound in ("0.1", "1.0", "+Inf")] == [1, 2, 2]
    assert found["seconds_count"] == 2
    assert found["offerlog_writer_alive"] == 0
    assert found["offerlog_queue_depth"] == 6
    assert {type(one) for one in merged} == {Metric}
    created = [one.value for metric in merged for one in metric.samples if one.name == "served_created"]
    assert min(created) > 1_000_000_000
    assert max(created) < 3_000_000_000


def test_of_ended_processes_only_what_grows_is_kept() -> None:
    """A gauge of a process that is gone says nothing."""
    ended = Process()
    ended.served.labels("200").inc(4)
    kept = keep_totals([dump(ended.collect()), dump(ended.collect())])
    assert {family.name for family in kept} == {"served", "seconds"}
    assert values(merge([], [kept]))["served_total 200"] == 8


def test_a_scrape_shows_all_processes_and_no_counter_falls(tmp_path: Path) -> None:
    """A process that is killed keeps what a scrape has shown; its files are removed."""
    # given
    mine, other = Process(), Process()
    here, there = MetricExchange(tmp_path, 1), MetricExchange(tmp_path, 2)
    here.serve(mine.collect)
    there.serve(other.collect)
    mine.served.labels("200").inc(3)
    other.served.labels("200").inc(4)
    # when
    before = values(list(here.complete(mine.collect())))
    other.served.labels("200").inc(100)  # never shown before it is killed
    there.close()
    silent = values(list(here.complete(mine.collect())))
    note_end(tmp_path, 2)
    after = values(list(here.complete(mine.collect())))
    here.close()
    # then
    assert (before["served_total 200"], before["offerlog_processes"]) == (7, 2)
    assert silent["served_total 200"] == after["served_total 200"] == 7
    assert (after["offerlog_processes"], after["offerlog_process_restarts_total"]) == (1, 1)
    assert after["offerlog_queue_depth"] == 3
    assert not list(tmp_path.glob("2.*"))
    assert not [one for one in threading.enumerate() if one.name == "offerlog-metrics"]
