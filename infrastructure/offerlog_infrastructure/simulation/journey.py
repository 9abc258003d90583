"""The regular life of one action: a random walk through the table of its media type.

A `Lifecycle` says which state may follow which. This module adds the probability and duration of each step.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from offerlog_domain.lifecycle import Lifecycle, State
from offerlog_infrastructure.simulation.chance import Chance, Weighted
from offerlog_infrastructure.simulation.period import SECOND


class Odds(NamedTuple):
    """The weight of a step among its alternatives, and its shortest and longest duration in seconds.

    The first step has no duration: it is when the action begins.
    """

    weight: float
    quickest: int
    slowest: int


ODDS: Final[Mapping[tuple[State | None, State], Odds]] = {
    (None, State.OFFERED): Odds(0.02, 0, 0),
    (None, State.QUALIFIED): Odds(0.94, 0, 0),
    (None, State.QUALIFIED_OUTSIDE_SCHEDULE): Odds(0.02, 0, 0),
    (None, State.OFFERED_OUTSIDE_SCHEDULE): Odds(0.01, 0, 0),
    (None, State.FREQUENCY_CAP_REACHED): Odds(0.01, 0, 0),
    (State.QUALIFIED, State.OFFERED): Odds(0.87, 0, 1),
    (State.QUALIFIED, State.QUALIFIED_OUTSIDE_SCHEDULE): Odds(0.03, 0, 1),
    (State.QUALIFIED, State.OFFERED_OUTSIDE_SCHEDULE): Odds(0.03, 0, 1),
    (State.QUALIFIED, State.FREQUENCY_CAP_REACHED): Odds(0.05, 0, 1),
    (State.OFFERED, State.ACCEPTED): Odds(0.14, 3, 30),
    (State.OFFERED, State.REJECTED): Odds(0.12, 2, 20),
    (State.OFFERED, State.IGNORED): Odds(0.50, 2, 30),
    (State.OFFERED, State.ERRORED): Odds(0.03, 1, 4),
    (State.OFFERED, State.TIMEDOUT): Odds(0.13, 0, 1),  # added to the widget's time-out
    (State.ACCEPTED, State.REJECTED): Odds(0.20, 4, 90),
    (State.ACCEPTED, State.STARTED): Odds(0.74, 8, 150),
    (State.STARTED, State.ABANDONED): Odds(0.22, 20, 420),
    (State.STARTED, State.ENGAGED): Odds(0.74, 4, 240),
}

SILENCE: Final[Mapping[State, float]] = {
    State.QUALIFIED: 0.02,
    State.OFFERED: 0.08,
    State.ACCEPTED: 0.06,
    State.STARTED: 0.04,
}
"""The weight of silence after a state, among its alternatives in `ODDS`."""

Ways = Mapping[State | None, Weighted[State | None]]


class Step(NamedTuple):
    """A reported state of an action and its time; a wrong report may name a state outside every table."""

    at: int
    state: str


def ways(lifecycle: Lifecycle, acceptance: float, *, tells_qualified: bool) -> Ways:
    """Return the first states, and the next states of each that something may follow (None: silence).

    Args:
        lifecycle: The table.
        acceptance: The weight of acceptance.
        tells_qualified: True if actions mostly begin before the offer; else all begin with it.
    """
    first = _steps_from(lifecycle, None, acceptance) if tells_qualified else [(State.OFFERED, 1.0)]
    return {
        None: Weighted(first),
        **{
            source: Weighted([(None, silence), *_steps_from(lifecycle, source, acceptance)])
            for source, silence in SILENCE.items()
            if source in lifecycle.tracked and not lifecycle.is_final(source)
        },
    }


def _steps_from(
    lifecycle: Lifecycle, source: State | None, acceptance: float
) -> list[tuple[State | None, float]]:
    targets = [step.target for step in lifecycle.transitions if step.source is source]
    return [(t, ODDS[source, t].weight * (acceptance if t is State.ACCEPTED else 1.0)) for t in targets]


def life(chance: Chance, paths: Ways, timeout_seconds: int, at: int) -> list[Step]:
    """Return the steps of one action that begins at an instant, to a final state or to silence.

    The widget withdraws the invitation after `timeout_seconds`. All other steps of the visitor happen before.
    """
    state: State | None = None
    steps: list[Step] = []
    while state in paths:  # until a final state
        target = chance.pick(paths[state])
        if target is None:
            break
        odds = ODDS[state, target]
        at += chance.mostly_low(odds.quickest * SECOND, odds.slowest * SECOND)
        if target is State.TIMEDOUT:
            at += timeout_seconds * SECOND
        steps.append(Step(at, target))
        state = target
    return steps
