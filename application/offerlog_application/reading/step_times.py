"""The times of a step, measured exactly."""

from collections.abc import Sequence

from offerlog_application.ports.offer_reads import StepTimes


def measure_times(seconds: Sequence[float]) -> StepTimes:
    """Return median and p90 of ascending times, interpolated as PostgreSQL's `percentile_cont` does."""
    if not seconds:
        return StepTimes(0, None, None)
    median, p90 = (_quantile(seconds, share) for share in (0.5, 0.9))
    return StepTimes(len(seconds), median, p90)


def _quantile(values: Sequence[float], share: float) -> float:
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
