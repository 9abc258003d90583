"""The lifecycle of one action: one table of data that decide, evolve, docs and tests all read.

Source of every rule: the vendor's page "Web chat lifecycle". The table lists the states that may
follow each state. Everything else here (final, reachable, stage, order) is computed from the table. Another
media type is another value of `Lifecycle`, not another code path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """A state of an action; the value is its spelling on the wire and in the log."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    STARTED = "started"
    REJECTED = "rejected"
    IGNORED = "ignored"
    ERRORED = "errored"
    TIMEDOUT = "timedout"
    ABANDONED = "abandoned"
    ENGAGED = "engaged"


class Stage(StrEnum):
    """The stage at which a visitor turned an offer down: the invitation, or later the form."""

    INVITATION = "invitation"
    FORM = "form"


class UntrackedState(StrEnum):
    """States that the vendor reports and that are not a part of this lifecycle (`actionState` of its API)."""

    QUALIFIED = "qualified"
    COMPLETED = "completed"
    QUALIFIED_OUTSIDE_SCHEDULE = "qualifiedOutsideSchedule"
    OFFERED_OUTSIDE_SCHEDULE = "offeredOutsideSchedule"
    FREQUENCY_CAP_REACHED = "frequencyCapReached"


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal step; `source` is None where an action begins."""

    source: State | None
    target: State
    when: str
    stage: Stage | None = None


@dataclass(frozen=True)
class Lifecycle:
    """The legal steps of one media type, and those of its states that suppress the offer for good.

    Attributes:
        media_type: The vendor's `actionMediaType`.
        transitions: The whole table; nothing else is legal.
        terminal: States after which this offer is never made to this visitor again.
        longest: The most events that one action can have.
    """

    media_type: str
    transitions: tuple[Transition, ...]
    terminal: frozenset[State]
    _next: Mapping[State | None, Mapping[State, Stage | None]] = field(init=False, repr=False)
    _reachable: Mapping[State, frozenset[State]] = field(init=False, repr=False)
    _rank: Mapping[State, int] = field(init=False, repr=False)
    longest: int = field(init=False, repr=False, default=0)

    def __post_init__(self) -> None:
        following: dict[State | None, dict[State, Stage | None]] = {None: {}}
        for step in self.transitions:
            following.setdefault(step.target, {})
            following.setdefault(step.source, {})[step.target] = step.stage
        object.__setattr__(self, "_next", following)
        object.__setattr__(
            self, "_reachable", {s: frozenset(_walk(following, s)) for s in following if s is not None}
        )
        last = len(following)
        steps = _longest_paths(following)
        depth = {s: last if not following[s] else d for s, d in steps.items()}
        object.__setattr__(self, "_rank", depth)
        object.__setattr__(self, "longest", max(steps.values()) + 1)

    @property
    def states(self) -> tuple[State, ...]:
        """Every state of this media type, in the order the table first reaches it."""
        return tuple(dict.fromkeys(step.target for step in self.transitions))

    def follows(self, source: State | None, target: State) -> bool:
        """Return True if `target` may come directly after `source` (None: the action has not begun)."""
        return target in self._next[source]

    def is_reachable(self, source: State, target: State) -> bool:
        """Return True if `target` can still be reached from `source`, in one step or several."""
        return target in self._reachable[source]

    def stage(self, source: State | None, target: State) -> Stage | None:
        """Return the stage that belongs to the step from `source` to `target`; None where it has none."""
        return self._next[source][target]

    def is_final(self, state: State) -> bool:
        """Return True if nothing follows `state` in the same action."""
        return not self._next[state]

    def rank(self, state: State) -> int:
        """Return the place of `state` in lifecycle order; all final states share the last place."""
        return self._rank[state]


def _walk(following: Mapping[State | None, Iterable[State]], source: State) -> set[State]:
    seen: set[State] = set()
    ahead = list(following[source])
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead.extend(following[state])
    return seen


def _longest_paths(following: Mapping[State | None, Iterable[State]]) -> dict[State, int]:
    depth: dict[State, int] = {}
    ahead: list[tuple[State, int]] = [(state, 0) for state in following[None]]
    while ahead:
        state, steps = ahead.pop()
        if depth.get(state, -1) < steps:
            depth[state] = steps
            ahead.extend((after, steps + 1) for after in following[state])
    return depth


WEBCHAT: Final = Lifecycle(
    media_type="webchat",
    transitions=(
        Transition(None, State.OFFERED, "activity qualifies the action map; the invitation is shown"),
        Transition(State.OFFERED, State.ACCEPTED, "visitor accepts the invitation"),
        Transition(State.OFFERED, State.REJECTED, "visitor rejects the invitation", Stage.INVITATION),
        Transition(State.OFFERED, State.IGNORED, "visitor navigates away from or around it"),
        Transition(State.OFFERED, State.ERRORED, "a widget error prevented the engagement"),
        Transition(State.OFFERED, State.TIMEDOUT, "the invitation timed out and was withdrawn"),
        Transition(State.ACCEPTED, State.REJECTED, "visitor cancels or closes the form", Stage.FORM),
        Transition(State.ACCEPTED, State.STARTED, "visitor submits the form; the chat starts"),
        Transition(State.STARTED, State.ABANDONED, "visitor closes the window before an agent connects"),
        Transition(State.STARTED, State.ENGAGED, "an agent accepts and connects"),
    ),
    terminal=frozenset({State.ENGAGED, State.REJECTED, State.TIMEDOUT, State.IGNORED, State.ABANDONED}),
)
"""The life of a web chat offer."""

LIFECYCLES: Final[Mapping[str, Lifecycle]] = {WEBCHAT.media_type: WEBCHAT}
"""Every media type that has a table, by the vendor's name; all others are not tracked."""

LONGEST_ACTION: Final = max(lifecycle.longest for lifecycle in LIFECYCLES.values())
"""The most events that one action of any media type can have."""
