"""The traffic of a whole site over some days, as a stream of lines.

It holds only what is under way: visitors still to come back, and signals still to arrive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from heapq import heappop, heappush
from itertools import count
from typing import Final

from offerlog_infrastructure.simulation.action_maps import action_maps
from offerlog_infrastructure.simulation.chance import Chance
from offerlog_infrastructure.simulation.disorder import Transit
from offerlog_infrastructure.simulation.period import Period
from offerlog_infrastructure.simulation.visitors import Site

_LAST: Final = date(9999, 1, 1)
"""By then it is over: what the last sessions report late is still to come, and needs a date too."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to simulate.

    Attributes:
        visitors: How many different visitors come in the whole period; most only for a few days of it.
        action_maps: How many action maps the site has, at least 1.
        days: How many days, at least 1. Sessions begin in them; the last may report some minutes longer.
        start: The first day, in UTC.
        seed: What chance starts from. The same traffic always gives the same bytes.
        disorder: Whether signals may arrive late, and so out of order.
        repeats: Whether signals may arrive more than once.

    Raises:
        ValueError: A number is below its least, or the days go beyond the year 9998.
    """

    visitors: int
    action_maps: int
    days: int
    start: date
    seed: int
    disorder: bool = False
    repeats: bool = False

    def __post_init__(self) -> None:
        if self.visitors < 0 or self.action_maps < 1 or self.days < 1:
            raise ValueError("traffic needs 0 or more visitors, 1 or more action maps, 1 or more days")
        if self.days > (_LAST - self.start).days:
            raise ValueError(f"traffic of {self.days:,} days from {self.start} goes beyond the year 9998")


def simulate(traffic: Traffic) -> Iterator[str]:
    """The lines of `traffic`, one JSON object each, in order of arrival and without newlines.

    `disorder` and `repeats` change when and how often signals arrive, never the signals themselves.
    """
    chance = Chance(f"site {traffic.seed}")
    maps = action_maps(chance, traffic.action_maps, traffic.days)
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
