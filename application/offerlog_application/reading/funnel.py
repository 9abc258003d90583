"""The funnel: of the offers made in a range, how far they came and where they ended."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from offerlog_application.ports.offer_reads import CohortCounts
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import FUNNEL_RATES, OfferEnd, offer_ends, rates

STEPS = (State.OFFERED, State.ACCEPTED, State.STARTED, State.ENGAGED)
"""The steps of the funnel, in order."""


@dataclass(frozen=True, slots=True)
class FunnelPart:
    """The offers of one action map, or of all.

    Attributes:
        action_map_id: The action map; None for all of them.
        action_map_name: Its newest known display name.
        steps: Number of actions that reached each of `STEPS`.
        ends: Number of actions at each end. They add up to the number of offers.
        rates: Every rate of `FUNNEL_RATES`; None where the divisor is zero, and where none of the media types
            counted has such states.
    """

    action_map_id: str | None
    action_map_name: str | None
    steps: Mapping[State, int]
    ends: Mapping[OfferEnd, int]
    rates: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Funnel:
    """The funnel of a range.

    Attributes:
        query: The query.
        as_of: The time as of which open and lapsed actions are told apart.
        position: The position of the log that it shows.
        total: All offers together.
        parts: By action map, sorted by id; maps without an offer in the range are left out.
        short_by: Number of dead-letter events of these maps, in any period: they are not counted.
    """

    query: ReportQuery
    as_of: datetime
    position: LogPosition
    total: FunnelPart
    parts: Sequence[FunnelPart]
    short_by: int = 0


def make_funnel(
    query: ReportQuery,
    as_of: datetime,
    counted: CohortCounts,
    names: Mapping[ActionMapId, str],
    short_by: int = 0,
) -> Funnel:
    """Divide the counts of a range among the ends."""
    total: Counter[State] = Counter()
    media_types: set[str] = set()
    parts = []
    for action_map in sorted(counted.states):
        states = counted.states[action_map]
        if states.get(State.OFFERED, 0):
            total.update(states)
            media_types.update(counted.media_types[action_map])
            form, still_open, taken = (
                numbers.get(action_map, 0)
                for numbers in (counted.form_rejections, counted.still_open, counted.taken)
            )
            ends = offer_ends(states, form, still_open, taken)
            name = names.get(action_map)
            parts.append(_part(action_map, name, states, ends, counted.media_types[action_map]))
    all_ends = {end: sum(part.ends[end] for part in parts) for end in OfferEnd}
    whole = _part(None, None, total, all_ends, media_types)
    return Funnel(query, as_of, counted.position, whole, parts, short_by)


def _part(
    action_map_id: str | None,
    name: str | None,
    states: Mapping[State, int],
    ends: Mapping[OfferEnd, int],
    media_types: Collection[str],
) -> FunnelPart:
    steps = {step: states.get(step, 0) for step in STEPS}
    return FunnelPart(action_map_id, name, steps, ends, rates(states, FUNNEL_RATES, media_types=media_types))
