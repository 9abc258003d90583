"""Reads about the service itself, shared by everybody who asks."""

from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.http.metrics import ServiceMetrics
from offerlog_infrastructure.http.threads.shared_reads import SharedRead

_FRESH_SECONDS: Final = 0.1
_METRICS_FRESH_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 7.0
"""Seconds that readiness and metrics wait for a silent store; a read waits for a lock less long."""


class OperationalReads:
    """Values about the service itself, each read by one thread at most a few times a second.

    Attributes:
        progress: Progress of every projection, by server.
        metrics: All metrics in the text format of Prometheus.
    """

    def __init__(self, service: Offerlog, metrics: ServiceMetrics) -> None:
        self.progress = SharedRead(
            service.progress_of_servers, fresh_seconds=_FRESH_SECONDS, patience_seconds=_PATIENCE_SECONDS
        )
        self.metrics = SharedRead(
            metrics.exposition, fresh_seconds=_METRICS_FRESH_SECONDS, patience_seconds=_PATIENCE_SECONDS
        )
