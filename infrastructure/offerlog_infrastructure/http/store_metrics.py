"""Metrics about the store: backlog, refusals, checkpoints, the last backup, and the pools of this process."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.shards import NotOverShardsError
from offerlog_application.ports.store_figures import StoreFigures
from offerlog_application.status.operations import Operations
from offerlog_domain.outcomes import Reason

FRESH_SECONDS: Final = 10.0
"""Seconds for which figures are used again: scrapes cost the store the same however many there are."""


class StoreMetrics(Collector):
    """Gauges of the store, read at most once in some seconds; none while the store is unavailable."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._figures: StoreFigures | None = None
        self._read_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """Return the gauges; the registry calls this, in one thread at a time."""
        now = time.monotonic()
        if now - self._read_at >= FRESH_SECONDS:
            try:
                self._figures, self._read_at = self._operations.figures(), now
            except (
                StoreUnavailableError,
                NotOverShardsError,
            ):  # the service counts it with its reason
                self._figures = None
        return [*self.pool_gauges(), *([] if self._figures is None else _gauges_of(self._figures))]

    def pool_gauges(self) -> list[Metric]:
        """Return the use of the pools, which does not ask the store."""
        used = GaugeMetricFamily(
            "offerlog_pool_connections", "Open connections to the store", labels=["pool", "state"]
        )
        most = GaugeMetricFamily(
            "offerlog_pool_max_connections", "Most connections of the pool", labels=["pool"]
        )
        waiting = GaugeMetricFamily(
            "offerlog_pool_waiting_calls", "Calls that wait for a connection", labels=["pool"]
        )
        for pool in self._operations.pools():
            used.add_metric([pool.name, "idle"], pool.idle)
            used.add_metric([pool.name, "used"], pool.open - pool.idle)
            if pool.most is not None:
                most.add_metric([pool.name], pool.most)
            waiting.add_metric([pool.name], pool.waiting)
        return [used, most, waiting]


def _gauges_of(figures: StoreFigures) -> list[Metric]:
    refusals = GaugeMetricFamily(
        "offerlog_refusals_last_day", "Signals refused in the last 24 hours", labels=["reason"]
    )
    for reason in Reason:
        refusals.add_metric([reason.value], figures.refusals.get(reason.value, 0))
    gauges = {
        "offerlog_parked_signals": ("Signals that wait for their action", figures.parked.count),
        "offerlog_overdue_parked_signals": (
            "Parked signals whose parking time is over",
            figures.overdue_parkings.count,
        ),
        "offerlog_overdue_deadlines": (
            "Time-outs that are due and not recorded",
            figures.overdue_deadlines.count,
        ),
        "offerlog_dead_letters": ("Visitor-offers with an event that failed", figures.dead_letters),
        "offerlog_database_bytes": ("Size of the database", figures.database_bytes),
        "offerlog_archived_events": (
            "Events that lie in the archive",
            0 if figures.archive is None else figures.archive.events,
        ),
        "offerlog_archived_bytes": (
            "Size of the files of the archive",
            0 if figures.archive is None else figures.archive.bytes,
        ),
        "offerlog_organizations": ("Organizations of the store", len(figures.organizations)),
        "offerlog_last_checkpoint_events": (
            "Events that the newest checkpoint covers",
            0 if figures.checkpoint is None else figures.checkpoint.size,
        ),
    }
    moments = {
        "offerlog_last_checkpoint_timestamp_seconds": (
            "Time of the newest checkpoint",
            None if figures.checkpoint is None else figures.checkpoint.signed_at,
        ),
        "offerlog_last_cosigned_checkpoint_timestamp_seconds": (
            "Time of the newest checkpoint that a witness has cosigned",
            None if figures.cosigned is None else figures.cosigned.signed_at,
        ),
        "offerlog_last_backup_timestamp_seconds": (
            "Time of the last backup of offerlog backup",
            None if figures.backup is None else figures.backup.made_at,
        ),
    }
    return [
        refusals,
        *(GaugeMetricFamily(name, meaning, value) for name, (meaning, value) in gauges.items()),
        *(
            GaugeMetricFamily(name, f"{meaning}, in Unix time; NaN if there is none", _unix(moment))
            for name, (meaning, moment) in moments.items()
        ),
    ]


def _unix(moment: datetime | None) -> float:
    return float("nan") if moment is None else moment.timestamp()
