"""The lifecycle of one action: tables of data that decide, evolve, docs and tests all read.

Source of every rule: the vendor's page "Web chat lifecycle". A table lists the states that may follow each
state. Everything else here (final, reachable, stage, order) is computed from the table. Each media type is
another value of `Lifecycle`, not another code path.
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
    QUALIFIED = "qualified"
    QUALIFIED_OUTSIDE_SCHEDULE = "qualifiedOutsideSchedule"
    OFFERED_OUTSIDE_SCHEDULE = "offeredOutsideSchedule"
    FREQUENCY_CAP_REACHED = "frequencyCapReached"


BEFORE_OFFER: Final = frozenset(
    {
        State.QUALIFIED,
        State.QUALIFIED_OUTSIDE_SCHEDULE,
        State.OFFERED_OUTSIDE_SCHEDULE,
        State.FREQUENCY_CAP_REACHED,
    }
)
"""The states of an action that is not offered yet, or never: they block nothing and suppress nothing."""


class MediaType(StrEnum):
    """A media type of which a table is kept; the value is the vendor's `actionMediaType`."""

    WEBCHAT = "webchat"
    WEB_MESSAGING_OFFER = "webMessagingOffer"
    CONTENT_OFFER = "contentOffer"


class Stage(StrEnum):
    """The stage at which a visitor turned an offer down: the invitation, or later the form."""

    INVITATION = "invitation"
    FORM = "form"


class UntrackedState(StrEnum):
    """States that the vendor reports and that are not a part of any lifecycle (`actionState` of its API)."""

    COMPLETED = "completed"


_LAST_RANK: Final = len(State)
"""The rank of all final states. No table has so many steps on the way to one."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal step; `source` is None where an action begins."""

    source: State | None
    target: State
    when: str
    stage: Stage | None = None


@dataclass(frozen=True)
class Lifecycle:
    """The legal steps of one media type, and those of its states that suppress the offer.

    Attributes:
        media_type: The vendor's `actionMediaType`.
        transitions: The whole table; nothing else is legal.
        terminal: States after which this offer is not made to this visitor again, unless a policy says when.
        title: The kind of offer in words, such as "web chat offer".
        tracked: The states of the table.
        longest: The most events that one action can have.
        has_timeout: True if an unanswered invitation times out.
    """

    media_type: str
    transitions: tuple[Transition, ...]
    terminal: frozenset[State]
    title: str = "offer"
    _next: Mapping[State | None, Mapping[State, Stage | None]] = field(init=False, repr=False)
    _reachable: Mapping[State, frozenset[State]] = field(init=False, repr=False)
    _rank: Mapping[State, int] = field(init=False, repr=False)
    tracked: frozenset[State] = field(init=False, repr=False, default=frozenset())
    longest: int = field(init=False, repr=False, default=0)
    has_timeout: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        following: dict[State | None, dict[State, Stage | None]] = {None: {}}
        for step in self.transitions:
            following.setdefault(step.target, {})
            following.setdefault(step.source, {})[step.target] = step.stage
        object.__setattr__(self, "_next", following)
        object.__setattr__(
            self, "_reachable", {s: frozenset(_walk(following, s)) for s in following if s is not None}
        )
        steps = _longest_paths(following)
        depth = {s: _LAST_RANK if not following[s] else d for s, d in steps.items()}
        object.__setattr__(self, "_rank", depth)
        object.__setattr__(self, "tracked", frozenset(steps))
        object.__setattr__(self, "longest", max(steps.values()) + 1)
        object.__setattr__(self, "has_timeout", State.TIMEDOUT in following)

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


_STEPS_BEFORE: Final = (
    Transition(None, State.QUALIFIED, "activity qualifies the action map"),
    *(
        Transition(source, target, when)
        for source in (None, State.QUALIFIED)
        for target, when in (
            (State.QUALIFIED_OUTSIDE_SCHEDULE, "the action map qualified outside its schedule"),
            (State.OFFERED_OUTSIDE_SCHEDULE, "the offer would be outside the schedule, and is withheld"),
            (State.FREQUENCY_CAP_REACHED, "the visitor was offered enough, and the offer is withheld"),
        )
    ),
    Transition(State.QUALIFIED, State.OFFERED, "the invitation is shown"),
)
"""The optional first steps of every action."""

_CHAT_STEPS: Final = (
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
    *_STEPS_BEFORE,
)
_CHAT_TERMINAL: Final = frozenset(
    {State.ENGAGED, State.REJECTED, State.TIMEDOUT, State.IGNORED, State.ABANDONED}
)

WEBCHAT: Final = Lifecycle(MediaType.WEBCHAT.value, _CHAT_STEPS, _CHAT_TERMINAL, "web chat offer")
"""The life of a web chat offer."""

WEB_MESSAGING_OFFER: Final = Lifecycle(
    MediaType.WEB_MESSAGING_OFFER.value, _CHAT_STEPS, _CHAT_TERMINAL, "web messaging offer"
)
"""The life of a web messaging offer: the steps of a web chat offer. No page of the vendor says otherwise."""

CONTENT_OFFER: Final = Lifecycle(
    MediaType.CONTENT_OFFER.value,
    (
        Transition(None, State.OFFERED, "activity qualifies the action map; the content is shown"),
        Transition(State.OFFERED, State.ACCEPTED, "visitor opens the content"),
        Transition(State.OFFERED, State.REJECTED, "visitor closes the content offer", Stage.INVITATION),
        Transition(State.OFFERED, State.IGNORED, "visitor navigates away from or around it"),
        Transition(State.OFFERED, State.ERRORED, "an error prevented the content from being shown"),
        *_STEPS_BEFORE,
    ),
    frozenset({State.ACCEPTED, State.REJECTED, State.IGNORED}),
    "content offer",
)
"""The life of a content offer. Nothing follows its acceptance."""

LIFECYCLES: Final[Mapping[str, Lifecycle]] = {
    table.media_type: table for table in (WEBCHAT, WEB_MESSAGING_OFFER, CONTENT_OFFER)
}
"""Every media type that has a table, by the vendor's name; all others are not tracked."""

LONGEST_ACTION: Final = max(lifecycle.longest for lifecycle in LIFECYCLES.values())
"""The most events that one action of any media type can have."""


def find_lifecycle(media_type: str, state: str) -> Lifecycle | None:
    """Return the table of a media type; None where there is none, or where it lacks that state."""
    lifecycle = LIFECYCLES.get(media_type)
    return lifecycle if lifecycle is not None and state in lifecycle.tracked else None
