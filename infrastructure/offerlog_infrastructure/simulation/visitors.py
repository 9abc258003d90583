"""Visitors: the times of their sessions, and the signals of each session."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Final

from offerlog_domain.lifecycle import BEFORE_OFFER, State
from offerlog_infrastructure.simulation.action_maps import SimulatedMap
from offerlog_infrastructure.simulation.chance import Chance, Weighted
from offerlog_infrastructure.simulation.journey import Step, life
from offerlog_infrastructure.simulation.mistakes import STALE_PAGE, second_tab, with_mistakes
from offerlog_infrastructure.simulation.period import DAY, HOUR, MINUTE, SECOND, Period
from offerlog_infrastructure.simulation.wire import ERRORS, NO_ERROR, SimulatedSignal

FURTHER_PAGE: Final = 0.04
"""The probability that a session shows one more page with an action map."""
COMES_BACK: Final = 0.55
"""The probability that a visitor comes back after a session, and that it is on the same day."""
SAME_DAY: Final = 0.15
TRIES_AGAIN: Final = 0.6
"""The probability that a visitor who broke off, or met an error, opens that page next."""
AWAY: Final = 40 * MINUTE
"""The shortest time between two sessions: longer than an open action stays open."""
NEVER: Final = 1 << 62


class SimulatedVisitor:
    """One visitor.

    Attributes:
        customer_id: The cookie.
        free_from: The instant from which each action map met so far may offer again.
        unfinished: The map whose offer last broke off, if it may offer again.
    """

    __slots__ = ("customer_id", "free_from", "unfinished")

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        self.free_from: dict[str, int] = {}
        self.unfinished: SimulatedMap | None = None


class Site:
    """A web site during a period, with its action maps and its visitors."""

    def __init__(self, chance: Chance, period: Period, maps: Weighted[SimulatedMap]) -> None:
        self._chance = chance
        self._period = period
        self._maps = maps

    def sessions(self, visitors: int) -> Iterator[tuple[int, list[SimulatedSignal]]]:
        """Yield every session that begins in the period, in order of its start, with its signals.

        No signal is before the start of its session. Memory holds only visitors who will come back.
        """
        returning: list[tuple[int, int, SimulatedVisitor]] = []
        ties = count()
        for number in range(visitors + 1):
            newcomers = number < visitors
            first = self._period.instant((number + self._chance.share()) / visitors) if newcomers else NEVER
            if newcomers:
                heappush(returning, (first, next(ties), SimulatedVisitor(self._chance.uuid())))
            while returning and returning[0][0] <= first:
                start, _, visitor = heappop(returning)
                signals, end = self._session(visitor, start)
                yield start, signals
                again = self._comes_back(end)
                if again is not None:
                    heappush(returning, (again, next(ties), visitor))

    def _comes_back(self, left: int) -> int | None:
        chance = self._chance
        if not chance.happens(COMES_BACK):
            return None
        if chance.happens(SAME_DAY):
            again = left + chance.mostly_low(AWAY, 6 * HOUR)
        else:
            day = left // DAY + 1 + chance.mostly_low(0, 5)
            again = max(left + AWAY, self._period.instant_on(day, chance.share()))
        return again if again < self._period.end else None

    def _session(self, visitor: SimulatedVisitor, at: int) -> tuple[list[SimulatedSignal], int]:
        session_id = self._chance.uuid()
        signals: list[SimulatedSignal] = []
        staying = True
        while staying:
            at += self._chance.mostly_low(2 * SECOND, 4 * MINUTE)  # reading the page
            action_map = self._page(visitor)
            allowed = at >= visitor.free_from.get(action_map.id, 0)
            if allowed or self._chance.happens(STALE_PAGE):
                steps = life(self._chance, action_map.paths, action_map.timeout_seconds, at)
                signals += self._signals(visitor, session_id, action_map, steps)
                at, state = steps[-1]
                staying = action_map.lifecycle.is_final(State(state))
                if allowed:
                    _remember(visitor, action_map, steps[-1])
            staying = staying and self._chance.happens(FURTHER_PAGE)
        return signals, at

    def _page(self, visitor: SimulatedVisitor) -> SimulatedMap:
        if visitor.unfinished and self._chance.happens(TRIES_AGAIN):
            return visitor.unfinished
        return self._chance.pick(self._maps)

    def _signals(
        self, visitor: SimulatedVisitor, session_id: str, action_map: SimulatedMap, steps: list[Step]
    ) -> Iterator[SimulatedSignal]:
        chance = self._chance
        version = action_map.version_at(steps[0].at)
        offers = (second_tab(chance, step.at) for step in steps if step.state == State.OFFERED)
        for reports in (with_mistakes(chance, action_map.lifecycle, steps), *offers):
            action_id = chance.uuid()
            for at, state in reports:
                yield SimulatedSignal(
                    at,
                    self._period.stamp(at),
                    chance.uuid(),
                    action_id,
                    state,
                    action_map,
                    version,
                    visitor.customer_id,
                    session_id,
                    chance.one_of(ERRORS) if state == State.ERRORED else NO_ERROR,
                )


def _remember(visitor: SimulatedVisitor, action_map: SimulatedMap, last: Step) -> None:
    """Note when the map may offer again, as the service would decide: never, at once, or after the lapse."""
    state = State(last.state)
    if state in BEFORE_OFFER:  # blocks nothing, and suppresses nothing
        return
    lifecycle = action_map.lifecycle
    # the service itself times it out
    deadline = state is State.OFFERED and action_map.tells_timeout and lifecycle.has_timeout
    suppressed = state in lifecycle.terminal or deadline
    free_from = last.at if lifecycle.is_final(state) else last.at + AWAY
    visitor.free_from[action_map.id] = NEVER if suppressed else free_from
    if not suppressed:
        visitor.unfinished = action_map
    elif visitor.unfinished is action_map:
        visitor.unfinished = None
