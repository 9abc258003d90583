"""The traffic of a whole site over some days, as a stream of lines.

Memory holds only visitors who will come back and signals that have not arrived.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from heapq import heappop, heappush
from itertools import count
from typing import Final

from offerlog_domain.lifecycle import WEBCHAT
from offerlog_infrastructure.simulation.action_maps import action_maps
from offerlog_infrastructure.simulation.chance import Chance
from offerlog_infrastructure.simulation.disorder import Transit
from offerlog_infrastructure.simulation.period import Period
from offerlog_infrastructure.simulation.visitors import Site

_LAST: Final = date(9999, 1, 1)
"""The last year of a period; late signals of its last sessions need dates after its end."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The parameters of a simulation.

    Attributes:
        visitors: The number of different visitors in the period; most come for a few days only.
        action_maps: The number of action maps of the site, at least 1.
        days: The number of days, at least 1. Sessions begin in them; the last ones may end some minutes
            later.
        start: The first day, in UTC.
        seed: The start of all random values. The same traffic always gives the same bytes.
        disorder: True if signals may arrive late, and so out of order.
        repeats: True if signals may arrive more than once.
        media_types: The media types of the maps, in turn; at least one, each with a table.

    Raises:
        ValueError: A number is too low, or the days go beyond the year 9998.
    """

    visitors: int
    action_maps: int
    days: int
    start: date
    seed: int
    disorder: bool = False
    repeats: bool = False
    media_types: tuple[str, ...] = (WEBCHAT.media_type,)

    def __post_init__(self) -> None:
        if self.visitors < 0 or self.action_maps < 1 or self.days < 1:
            raise ValueError("traffic needs 0 or more visitors, 1 or more action maps, 1 or more days")
        if self.days > (_LAST - self.start).days:
            raise ValueError(f"traffic of {self.days:,} days from {self.start} goes beyond the year 9998")


def simulate(traffic: Traffic) -> Iterator[str]:
    """Yield the lines of `traffic`, one JSON object each, in order of arrival and without newlines.

    `disorder` and `repeats` change when and how often signals arrive, never the signals themselves.
    """
    chance = Chance(f"site {traffic.seed}")
    maps = action_maps(chance, traffic.action_maps, traffic.days, traffic.media_types)
    site = Site(chance, Period(traffic.start, traffic.days), maps)
    transit = Transit(Chance(f"transit {traffic.seed}"), disorder=traffic.disorder, repeats=traffic.repeats)
    under_way: list[tuple[int, int, str]] = []
    ties = count()
    for start, signals in site.sessions(traffic.visitors):
        while under_way and under_way[0][0] <= start:
            yield heappop(under_way)[2]
        for signal in signals:
            for arrival, line in transit.arrivals(signal):
                heappush(under_way, (arrival, next(ties), line))
    while under_way:
        yield heappop(under_way)[2]
