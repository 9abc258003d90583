"""Metrics about the store: backlog, refusals, checkpoints, the last backup, and the pools of this process."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_figures import StoreFigures
from offerlog_application.status.operations import Operations
from offerlog_domain.outcomes import Reason

FRESH_SECONDS: Final = 10.0
"""Seconds for which figures are used again: scrapes cost the store the same however many there are."""


class StoreMetrics(Collector):
    """Gauges of the store, of several servers added up, read at most once in some seconds.

    There are none while a store is unavailable.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._figures: Sequence[StoreFigures] = ()
        self._read_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """Return the gauges; the registry calls this, in one thread at a time."""
        now = time.monotonic()
        if now - self._read_at >= FRESH_SECONDS:
            try:
                self._figures, self._read_at = self._operations.figures_of_servers(), now
            except StoreUnavailableError:  # the service counts it with its reason
                self._figures = ()
        return [*self.pool_gauges(), *(_gauges_of(self._figures) if self._figures else [])]

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


def _gauges_of(servers: Sequence[StoreFigures]) -> list[Metric]:
    """Return the gauges of all servers together: sums, and of moments the oldest."""
    refusals = GaugeMetricFamily(
        "offerlog_refusals_last_day", "Signals refused in the last 24 hours", labels=["reason"]
    )
    for reason in Reason:
        refusals.add_metric([reason.value], sum(one.refusals.get(reason.value, 0) for one in servers))
    archives = [one.archive for one in servers if one.archive is not None]
    checkpoints = [one.checkpoint for one in servers]
    gauges = {
        "offerlog_parked_signals": (
            "Signals that wait for their action",
            sum(one.parked.count for one in servers),
        ),
        "offerlog_overdue_parked_signals": (
            "Parked signals whose parking time is over",
            sum(one.overdue_parkings.count for one in servers),
        ),
        "offerlog_overdue_deadlines": (
            "Time-outs that are due and not recorded",
            sum(one.overdue_deadlines.count for one in servers),
        ),
        "offerlog_dead_letters": (
            "Visitor-offers with an event that failed",
            sum(one.dead_letters for one in servers),
        ),
        "offerlog_database_bytes": ("Size of the database", sum(one.database_bytes for one in servers)),
        "offerlog_archived_events": ("Events that lie in the archive", sum(one.events for one in archives)),
        "offerlog_archived_bytes": ("Size of the files of the archive", sum(one.bytes for one in archives)),
        "offerlog_organizations": (
            "Organizations of the store",
            len({name for one in servers for name in one.organizations}),
        ),
        "offerlog_last_checkpoint_events": (
            "Events that the newest checkpoint covers",
            sum(one.size for one in checkpoints if one is not None),
        ),
    }
    moments = {
        "offerlog_last_checkpoint_timestamp_seconds": (
            "Time of the newest checkpoint",
            [None if one is None else one.signed_at for one in checkpoints],
        ),
        "offerlog_last_cosigned_checkpoint_timestamp_seconds": (
            "Time of the newest checkpoint that a witness has cosigned",
            [None if one.cosigned is None else one.cosigned.signed_at for one in servers],
        ),
        "offerlog_last_backup_timestamp_seconds": (
            "Time of the last backup of offerlog backup",
            [None if one.backup is None else one.backup.made_at for one in servers],
        ),
    }
    return [
        refusals,
        *(GaugeMetricFamily(name, meaning, value) for name, (meaning, value) in gauges.items()),
        *(
            GaugeMetricFamily(name, f"{meaning}, in Unix time; NaN if there is none", _find_oldest(found))
            for name, (meaning, found) in moments.items()
        ),
    ]


def _find_oldest(moments: Sequence[datetime | None]) -> float:
    """Return the oldest moment in Unix time; NaN if a server has none."""
    found = [one.timestamp() for one in moments if one is not None]
    return min(found) if len(found) == len(moments) else float("nan")
