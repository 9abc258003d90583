"""Metrics about webhooks: deliveries by result, and what waits for each endpoint."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from offerlog_application.ports.webhooks import DisableReason, WebhookLag

_LABELS = ["organization", "webhook"]


def describe_webhooks(webhooks: Iterable[WebhookLag]) -> list[Metric]:
    """Return the metrics of endpoints. The store counts, so every process shows the same."""
    deliveries = CounterMetricFamily(
        "offerlog_webhook_deliveries",
        "Attempts by result: delivered, failed; and events that were given up",
        labels=[*_LABELS, "result"],
    )
    gauges = {
        "enabled": _gauge("offerlog_webhook_enabled", "1 if events are sent"),
        "pending": _gauge("offerlog_webhook_pending_events", "Events that wait for another attempt"),
        "dead": _gauge("offerlog_webhook_dead_letters", "Events that were given up"),
        "behind": _gauge("offerlog_webhook_lag_events", "Events of the log that were not looked at yet"),
        "lag": _gauge("offerlog_webhook_lag_seconds", "Age of the first of them; NaN if it cannot be read"),
    }
    disabled = GaugeMetricFamily(
        "offerlog_webhook_disabled", "1 for the reason why no events are sent", labels=[*_LABELS, "reason"]
    )
    for one in webhooks:
        endpoint = one.endpoint
        whose = [endpoint.organization, endpoint.id]
        counts = {"delivered": endpoint.delivered, "failed": endpoint.failed, "given-up": endpoint.given_up}
        for result, count in counts.items():
            deliveries.add_metric([*whose, result], count)
        gauges["enabled"].add_metric(whose, endpoint.disabled_at is None)
        for reason in DisableReason:
            disabled.add_metric([*whose, reason.value], endpoint.disabled_because is reason)
        gauges["pending"].add_metric(whose, endpoint.pending)
        gauges["dead"].add_metric(whose, endpoint.dead_letters)
        gauges["behind"].add_metric(whose, one.lag_events)
        gauges["lag"].add_metric(whose, float("nan") if one.lag_seconds is None else one.lag_seconds)
    return [deliveries, disabled, *gauges.values()]


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=_LABELS)
