"""The Action Map Performance metrics: the metric of each state, the metric sets, the rates.

Names on the wire are the vendor's. The set `report` leaves out Ignored, Errored and Timed Out as the
vendor's report does.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from offerlog_domain.lifecycle import State

METRICS: Final[Mapping[State, str]] = {
    State.OFFERED: "nWebActionsOffered",
    State.ACCEPTED: "nWebActionsAccepted",
    State.REJECTED: "nWebActionsRejected",
    State.STARTED: "nWebActionsStarted",
    State.ABANDONED: "nWebActionsAbandoned",
    State.ENGAGED: "nWebActionsEngaged",
    State.IGNORED: "nWebActionsIgnored",
    State.ERRORED: "nWebActionsErrored",
    State.TIMEDOUT: "nWebActionsTimedout",
}
"""The metric that counts each state, in the order reports show them."""


class MetricSet(StrEnum):
    """The metrics that a report shows: the vendor's six, or all nine."""

    REPORT = "report"
    FULL = "full"

    @property
    def states(self) -> tuple[State, ...]:
        """The states of this set, in the order of a report."""
        return tuple(METRICS) if self is MetricSet.FULL else tuple(METRICS)[:6]


class Granularity(StrEnum):
    """The size of a report's buckets. Callers write the values."""

    TOTAL = "total"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class CountBy(StrEnum):
    """The unit of a count: actions, or distinct visitors."""

    ACTIONS = "actions"
    VISITORS = "visitors"


class Cohort(StrEnum):
    """The time that puts an action's state into a bucket: its own, or the time of the action's offer."""

    EVENT = "event"
    OFFERED = "offered"


def rates(counts: Mapping[State, int]) -> dict[str, float | None]:
    """Return accepted ÷ offered and engaged ÷ accepted, unrounded; None where the denominator is zero."""
    offered, accepted = counts.get(State.OFFERED, 0), counts.get(State.ACCEPTED, 0)
    return {
        "accepted": accepted / offered if offered else None,
        "engaged": counts.get(State.ENGAGED, 0) / accepted if accepted else None,
    }
