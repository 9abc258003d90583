"""The policy of an action map: how long each terminal state suppresses the offer (domain rule "Cool-down").

A policy changes what is decided after it was set, and no event that is stored. So `evolve` never reads one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Self

from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import LIFECYCLES, State

SUPPRESSING_STATES: Final = tuple(
    state for state in State if any(state in lifecycle.terminal for lifecycle in LIFECYCLES.values())
)
"""States that suppress an offer, of any media type: those that a policy may name."""

LONGEST_SUPPRESSION: Final = timedelta(days=3650)
"""The longest time in a policy; longer is for ever. After no time at all, the state suppresses nothing."""


@dataclass(frozen=True, slots=True)
class ActionMapPolicy:
    """The policy of an action map. Without arguments: that of a map for which none was set.

    Attributes:
        suppress_for: By terminal state, the time for which it suppresses the offer. A state that is not in it
            suppresses the offer for ever.
    """

    suppress_for: Mapping[State, timedelta] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def from_seconds(cls, seconds: Mapping[str, int] | Mapping[State, int]) -> Self:
        """Build the policy of which `to_seconds` has returned these.

        Raises:
            ValueError: A name is not a state.
        """
        return cls({State(state): timedelta(seconds=number) for state, number in seconds.items()})

    def to_seconds(self) -> dict[State, int]:
        """Return the times in whole seconds, by state, in the order of the states."""
        return {
            state: self.suppress_for[state] // timedelta(seconds=1)
            for state in State
            if state in self.suppress_for
        }

    def suppressed_until(self, state: State, since: datetime) -> datetime | None:
        """Return the time from which a terminal state no longer suppresses the offer; None for never.

        Args:
            state: The terminal state.
            since: The time of that state (`occurred_at`).
        """
        suppress_for = self.suppress_for.get(state)
        return None if suppress_for is None else since + suppress_for


NO_POLICY: Final = ActionMapPolicy()
"""The policy of a map for which none was set: every terminal state suppresses the offer for ever."""


def check_policy(suppress_for: Mapping[str, timedelta]) -> ActionMapPolicy:
    """Check the times of a policy, by the names of states.

    Raises:
        ArgumentError: A name is not a state that suppresses, or a time is not a whole number of seconds
            within the bounds.
    """
    names = {state.value for state in SUPPRESSING_STATES}
    for name, period in suppress_for.items():
        if name not in names:
            known = ", ".join(SUPPRESSING_STATES)
            raise ArgumentError("suppress_for", f"{name!r} does not suppress an offer; these do: {known}")
        if not timedelta() <= period <= LONGEST_SUPPRESSION or period.microseconds:
            raise ArgumentError(
                "suppress_for",
                f"{name}: whole seconds are needed, at most those of {LONGEST_SUPPRESSION.days} days",
            )
    return ActionMapPolicy({State(name): period for name, period in suppress_for.items()})
