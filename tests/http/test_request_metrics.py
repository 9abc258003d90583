"""Metrics of requests and of the store: bounded in number, in cost, and right."""

from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from offerlog.testing import open_in_memory
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_figures import PoolUse, StoreFigures
from offerlog_application.status.operations import Operations
from offerlog_domain.context import Rules
from offerlog_infrastructure.http.metrics import ServiceMetrics
from offerlog_infrastructure.http.request_durations import BUCKETS, RequestDurations
from offerlog_infrastructure.http.store_metrics import StoreMetrics


def test_requests_are_counted_by_route_and_class_of_status() -> None:
    """In buckets that count what is at most their bound; an invented method makes no further series."""
    # given
    durations = RequestDurations()
    for seconds in (0.0005, 0.001, 0.02, 11.0):
        durations.observe("GET", "/v1/visitors/{customer_id}/suppressions", 200, seconds)
    durations.observe("GET", "/v1/visitors/{customer_id}/suppressions", 404, 0.1)
    durations.observe("GET", None, None, 0.1)
    for method in ("BREW", "WHEN", "PROPFIND"):
        durations.observe(method, None, 405, 0.1)
    # when
    (family,) = durations.collect()
    found = {(one.name, *sorted(one.labels.items())): one.value for one in family.samples}

    def value(kind: str, method: str, route: str, status: str, **more: str) -> float:
        labels = {"method": method, "route": route, "status": status, **more}
        return found[f"offerlog_http_request_duration_seconds_{kind}", *sorted(labels.items())]

    # then
    look_up = ("GET", "/v1/visitors/{customer_id}/suppressions", "2xx")
    counts = [value("bucket", *look_up, le=str(bound)) for bound in BUCKETS]
    assert counts == [2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]
    assert value("bucket", *look_up, le="+Inf") == value("count", *look_up) == 4
    assert value("sum", *look_up) == pytest.approx(11.0215)
    assert value("count", look_up[0], look_up[1], "4xx") == 1
    assert value("count", "GET", "", "none") == 1
    assert value("count", "other", "", "4xx") == 3
    assert "BREW" not in str(found)


class _Counting:
    """Figures that count how often they are read."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False
        self.memory = open_in_memory()

    def read_figures(self, rules: Rules) -> StoreFigures:
        del rules
        self.reads += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.memory.operations.figures()

    def read_each(self, rules: Rules) -> Sequence[StoreFigures]:
        return [self.read_figures(rules)]

    def pools(self) -> Sequence[PoolUse]:
        return [PoolUse("reading", 3, 1, 11, 2)]


def test_a_scrape_reads_the_store_at_most_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scrape; while the store is away, only what the process itself knows is shown."""
    # given
    times = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: times[-1])
    source = _Counting()
    metrics = StoreMetrics(Operations(source, Rules()))

    def names() -> set[str]:
        return {family.name for family in metrics.collect()}

    # when
    shown = names()
    for moment in (101.0, 109.9):
        times.append(moment)
        assert names() == shown
    # then
    assert source.reads == 1
    assert {"offerlog_parked_signals", "offerlog_pool_waiting_calls"} <= shown
    # and it is read again, and again at once where it could not be
    source.is_away = True
    for moment in (110.0, 111.0):
        times.append(moment)
        assert names() == {
            "offerlog_pool_connections",
            "offerlog_pool_max_connections",
            "offerlog_pool_waiting_calls",
        }
    assert source.reads == 3
    source.is_away = False
    times.append(112.0)
    assert shown == names()
    source.memory.close()


def test_every_name_keeps_to_the_conventions_of_prometheus() -> None:
    """Base units, `_total` for counters alone, no label that grows with the data."""
    registry = CollectorRegistry()
    with open_in_memory() as service:
        metrics = ServiceMetrics(service)
        metrics.requests.observe("GET", "/healthz", 200, 0.1)
        registry.register(StoreMetrics(service.operations))
        text = metrics.exposition().decode() + generate_latest(registry).decode()
    families = [one for one in text_string_to_metric_families(text) if one.name.startswith("offerlog_")]
    assert len(families) > 30
    for family in families:
        assert not family.name.endswith(("_ms", "_milliseconds", "_minutes", "_kb", "_percent", "_total"))
        assert family.documentation
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= {
            *("le", "method", "route", "status", "outcome", "reason"),
            *("projection", "pool", "state", "version", "organization", "subscription", "witness"),
        }
