"""The Action Map Performance metrics: the metric of each state, the metric sets, the rates.

Names on the wire are the vendor's. The set `report` leaves out Ignored, Errored and Timed Out as the
vendor's report does. The set `all` adds the states before an offer.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final

from offerlog_domain.lifecycle import LIFECYCLES, State

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
    State.QUALIFIED: "nWebActionsQualified",
    State.QUALIFIED_OUTSIDE_SCHEDULE: "nWebActionsQualifiedOutsideSchedule",
    State.OFFERED_OUTSIDE_SCHEDULE: "nWebActionsOfferedOutsideSchedule",
    State.FREQUENCY_CAP_REACHED: "nWebActionsFrequencyCapReached",
}
"""The metric that counts each state, in the order reports show them."""


class MetricSet(StrEnum):
    """The metrics that a report shows: the vendor's six, the nine since the offer, or all."""

    REPORT = "report"
    FULL = "full"
    ALL = "all"

    @property
    def states(self) -> tuple[State, ...]:
        """The states of this set, in the order of a report."""
        return tuple(METRICS)[: _SIZES[self]]


_SIZES: Final = {MetricSet.REPORT: 6, MetricSet.FULL: 9, MetricSet.ALL: len(METRICS)}


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


RATES: Final[Mapping[str, tuple[State, State]]] = {
    "accepted": (State.ACCEPTED, State.OFFERED),
    "engaged": (State.ENGAGED, State.ACCEPTED),
    "started_of_accepted": (State.STARTED, State.ACCEPTED),
    "engaged_of_started": (State.ENGAGED, State.STARTED),
    "started_of_offered": (State.STARTED, State.OFFERED),
    "engaged_of_offered": (State.ENGAGED, State.OFFERED),
    "offered": (State.OFFERED, State.QUALIFIED),
}
"""Every rate, by its name: the metric of the first state divided by that of the second."""

FUNNEL_RATES: Final = tuple(name for name in RATES if name != "offered")
"""The names of the rates that the funnel shows: those of the offers that were made."""

ACTION_MAPS_RATES: Final = ("offered", "accepted", "engaged", "engaged_of_offered")
"""The names of the rates that the action maps report shows."""

COMPARED_RATES: Final = ("accepted", "engaged", "engaged_of_offered")
"""The names of the rates by which the action maps report compares versions of a map.

Not `offered`: an offer need not have qualified, so it is not a share of what has."""

REPORT_RATES: Final = ("accepted", "engaged")
"""The names of the rates that the performance report shows."""


def rates(
    counts: Mapping[State, int],
    names: Iterable[str] = REPORT_RATES,
    *,
    media_types: Collection[str | None] = (None,),
) -> dict[str, float | None]:
    """Return rates by name, unrounded; None for a zero divisor, and where no media type has the rate.

    Args:
        counts: Counts by state.
        names: Names in `RATES`; `REPORT_RATES` unless given.
        media_types: Media types of the actions counted. None, which is not known, has every rate.
    """
    found: dict[str, float | None] = {}
    for name in names:
        part, whole = (counts.get(state, 0) for state in RATES[name])
        is_known = whole and any(has_rate(one, name) for one in media_types)
        found[name] = part / whole if is_known else None
    return found


def has_rate(media_type: str | None, rate: str) -> bool:
    """Return False if actions of a media type never reach the states of a rate; True of an unknown type."""
    lifecycle = None if media_type is None else LIFECYCLES.get(media_type)
    return lifecycle is None or lifecycle.tracked.issuperset(RATES[rate])


class OfferEnd(StrEnum):
    """An end of an offer, or the place where it is. Every action that was offered is at exactly one."""

    ENGAGED = "engaged"
    ACCEPTED = "accepted"
    """Accepted, and nothing follows: so ends a content offer."""

    ABANDONED = "abandoned"
    REJECTED_AT_FORM = "rejected_at_form"
    REJECTED_AT_INVITATION = "rejected_at_invitation"
    IGNORED = "ignored"
    TIMEDOUT = "timedout"
    ERRORED = "errored"
    OPEN = "open"
    """Not over, and not silent for longer than an open action may be (domain rule "Lapse")."""

    LAPSED = "lapsed"
    """Not over, and silent for that long."""


def offer_ends(
    counts: Mapping[State, int], form_rejections: int, still_open: int, taken: int
) -> dict[OfferEnd, int]:
    """Divide the actions that were offered among all ends; the parts add up to the number of offers.

    Args:
        counts: Counts of the actions' states, placed where they were offered.
        form_rejections: Number of those that were rejected at the form.
        still_open: Number of those that are open, and not lapsed.
        taken: Number of those that ended with their acceptance.
    """
    final = {OfferEnd(state.value): counts.get(state, 0) for state in _FINAL}
    rejected = counts.get(State.REJECTED, 0)
    undecided = max(counts.get(State.OFFERED, 0) - rejected - taken - sum(final.values()), 0)
    lasting = min(still_open, undecided)
    found = {
        **final,
        OfferEnd.ACCEPTED: taken,
        OfferEnd.REJECTED_AT_FORM: form_rejections,
        OfferEnd.REJECTED_AT_INVITATION: rejected - form_rejections,
        OfferEnd.OPEN: lasting,
        OfferEnd.LAPSED: undecided - lasting,
    }
    return {end: found[end] for end in OfferEnd}


_FINAL: Final = (State.ENGAGED, State.ABANDONED, State.IGNORED, State.TIMEDOUT, State.ERRORED)
"""The final states that are ends; a rejection is one of two ends."""

ACCEPTED_IS_FINAL: Final = tuple(
    media_type
    for media_type, lifecycle in LIFECYCLES.items()
    if State.ACCEPTED in lifecycle.states and lifecycle.is_final(State.ACCEPTED)
)
"""The media types of which an action ends with its acceptance."""
