"""Wrong reports of real widgets, at low rates: each kind is refused for its own reason, or parked."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Final

from offerlog_domain.lifecycle import BEFORE_OFFER, LIFECYCLES, Lifecycle, State, UntrackedState
from offerlog_infrastructure.simulation.chance import Chance
from offerlog_infrastructure.simulation.journey import Step
from offerlog_infrastructure.simulation.period import MINUTE, SECOND

STALE_PAGE: Final = 0.25
"""A page offers although the offer is suppressed for this visitor: refused as `terminal_state`."""
SECOND_TAB: Final = 0.012
"""Two tabs offer at the same moment: the second is refused as `already_open`."""
LOST_OFFERED: Final = 0.01
"""The beacon of `offered` is lost; the next signals stay parked until they are `never_reachable`."""
STRAY: Final = 0.02
"""An open action reports a state that it can no longer reach: refused as `not_legal`."""
AFTERTHOUGHT: Final = 0.01
"""A final action reports a further state: refused as `action_over`."""
COMPLETED: Final = 0.08
"""The vendor's state after what the lifecycle tracks: refused as `not_tracked`."""


@cache
def _find_unreachable(media_type: str) -> Mapping[str, tuple[State, ...]]:
    """Return for each open state those states of the table that can be neither before it nor behind it."""
    table = LIFECYCLES[media_type]
    states = [state for state in table.states if state not in BEFORE_OFFER]
    return {
        state: tuple(
            other
            for other in states
            if not table.is_reachable(state, other)
            and not table.is_reachable(other, state)
            and other is not state
        )
        for state in states
        if not table.is_final(state)
    }


def with_mistakes(chance: Chance, lifecycle: Lifecycle, steps: list[Step]) -> Iterator[Step]:
    """Yield the steps of one action as a widget reports them: rarely one is lost or added."""
    last, unreachable = steps[-1], _find_unreachable(lifecycle.media_type)
    is_lost = last.state != State.OFFERED and chance.happens(LOST_OFFERED)
    for step, after in zip_longest(steps, steps[1:]):
        if step.state != State.OFFERED or not is_lost:
            yield step
        if after is not None:
            yield from _stray(chance, unreachable.get(step.state, ()), (step.at + after.at) // 2)
    if lifecycle.is_final(State(last.state)):
        if chance.happens(AFTERTHOUGHT):
            reached = {step.state for step in steps}
            unseen = [state for state in lifecycle.states if state not in reached | BEFORE_OFFER]
            yield Step(last.at + chance.between(SECOND, 30 * SECOND), chance.one_of(unseen))
        if last.state == State.ENGAGED and chance.happens(COMPLETED):
            yield Step(last.at + chance.between(2 * MINUTE, 12 * MINUTE), UntrackedState.COMPLETED)


def _stray(chance: Chance, unreachable: Sequence[State], at: int) -> Iterator[Step]:
    if unreachable and chance.happens(STRAY):
        yield Step(at, chance.one_of(unreachable))


def second_tab(chance: Chance, offered_at: int) -> Iterator[Step]:
    """Yield the steps of a second tab that offers at the same moment; mostly none."""
    if chance.happens(SECOND_TAB):
        shown_at = offered_at + chance.between(0, 400)
        yield Step(shown_at, State.OFFERED)
        if chance.happens(0.5):
            yield Step(shown_at + chance.between(2 * SECOND, MINUTE), State.IGNORED)
