"""Metrics of several processes as those of one service."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import Metric

Merging = Callable[[float, float], float]


def _add(one: float, other: float) -> float:
    return one + other


_GAUGES: Final[dict[str, Merging]] = {
    "offerlog_offers_blocked": _add,
    "offerlog_pool_connections": _add,
    "offerlog_pool_max_connections": _add,
    "offerlog_pool_waiting_calls": _add,
    "offerlog_queue_depth": _add,
    "offerlog_writer_alive": min,
    "offerlog_writer_incidents": _add,
    "process_max_fds": min,
    "process_open_fds": _add,
    "process_resident_memory_bytes": _add,
    "process_start_time_seconds": min,
    "process_virtual_memory_bytes": _add,
}
"""Functions that make one gauge of those of several processes; the greatest counts of the others."""

_TOTALS: Final = frozenset({"offerlog_offers_blocked", "offerlog_writer_incidents"})
"""Gauges that only grow, so that those of processes that have ended count."""

_COUNTED: Final = frozenset({"counter", "histogram", "summary"})
"""Types of metrics that only grow."""


class MetricSample(NamedTuple):
    """A sample of a metric: its name, its labels and its value."""

    name: str
    labels: dict[str, str]
    value: float


class Family(NamedTuple):
    """A metric as processes hand it over.

    Attributes:
        name: Its name.
        documentation: Its meaning.
        type: Its type.
        samples: Its samples.
    """

    name: str
    documentation: str
    type: str
    samples: list[MetricSample]


def dump(metrics: Iterable[Metric]) -> list[Family]:
    """Return metrics in the form in which processes hand them over."""
    return [
        Family(
            one.name,
            one.documentation,
            one.type,
            [MetricSample(sample.name, dict(sample.labels), float(sample.value)) for sample in one.samples],
        )
        for one in metrics
    ]


def merge(mine: Iterable[Metric], others: Sequence[Sequence[Family]]) -> list[Metric]:
    """Return the metrics of this process with those of the others added; what only one has stays as it is."""
    return [_build(family) for family in _merge([dump(mine), *others])]


def keep_totals(ended: Sequence[Sequence[Family]]) -> list[Family]:
    """Return what counts of processes that have ended: what only grows."""
    return _merge(
        [[one for one in families if one.type in _COUNTED or one.name in _TOTALS] for families in ended]
    )


def _merge(processes: Sequence[Sequence[Family]]) -> list[Family]:
    known: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for families in processes:
        for family in families:
            known.setdefault(family.name, family)
            merged = values.setdefault(family.name, {})
            for sample in family.samples:
                place = sample.name, tuple(sorted(sample.labels.items()))
                before = merged.get(place)
                is_first = before is None
                merged[place] = (
                    sample.value if is_first else _rule(family, sample)(before or 0.0, sample.value)
                )
    return [
        family._replace(
            samples=[
                MetricSample(name, dict(labels), value)
                for (name, labels), value in values[family.name].items()
            ]
        )
        for family in known.values()
    ]


def _rule(family: Family, sample: MetricSample) -> Merging:
    if sample.name.endswith("_created"):
        return min
    return _add if family.type in _COUNTED else _GAUGES.get(family.name, max)


def _build(family: Family) -> Metric:
    metric = Metric(family.name, family.documentation, family.type)
    for sample in family.samples:
        metric.add_sample(sample.name, sample.labels, sample.value)
    return metric
