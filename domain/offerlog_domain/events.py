"""The immutable events that a visitor-offer's stream holds, in the past tense.

Nine *lifecycle events* tell what became of an action; three *bookkeeping events* (an offer refused, a
signal parked, a parking ended) stand in the same stream, so that the stream's version guards them
too and the aggregate is rebuilt from one source (docs/decisions/0001). Every event has a stored name
and a version that never change with the code; import paths are not stored.
"""

from datetime import datetime
from typing import ClassVar, Final

from pydantic.dataclasses import dataclass

from offerlog_domain.event_fields import Event, SignalEvent
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason


@dataclass(frozen=True, kw_only=True)
class LifecycleEvent(SignalEvent):
    """An action reached a state.

    Attributes:
        action_number: Which action of its visitor-offer this is, from 1.
        offered_at: When the action was offered; its own `occurred_at` for `Offered`.
    """

    state: ClassVar[State]

    action_number: int
    offered_at: datetime

    @property
    def reported_state(self) -> State:
        """The state reached."""
        return self.state

    @property
    def stage(self) -> Stage | None:
        """Where the visitor turned the offer down; None for every other event."""
        return None


@dataclass(frozen=True, kw_only=True)
class Offered(LifecycleEvent):
    """The invitation was shown."""

    stored_name = State.OFFERED
    state = State.OFFERED


@dataclass(frozen=True, kw_only=True)
class Accepted(LifecycleEvent):
    """The visitor accepted the invitation."""

    stored_name = State.ACCEPTED
    state = State.ACCEPTED


@dataclass(frozen=True, kw_only=True)
class Rejected(LifecycleEvent):
    """The visitor turned the offer down, at the invitation or at the form.

    Attributes:
        rejected_stage: At which of the two.
    """

    stored_name = State.REJECTED
    state = State.REJECTED

    rejected_stage: Stage

    @property
    def stage(self) -> Stage:
        """Where the visitor turned the offer down."""
        return self.rejected_stage


@dataclass(frozen=True, kw_only=True)
class Ignored(LifecycleEvent):
    """The visitor navigated away from or around the invitation."""

    stored_name = State.IGNORED
    state = State.IGNORED


@dataclass(frozen=True, kw_only=True)
class Errored(LifecycleEvent):
    """A widget error prevented the engagement; the map may offer again."""

    stored_name = State.ERRORED
    state = State.ERRORED


@dataclass(frozen=True, kw_only=True)
class TimedOut(LifecycleEvent):
    """The invitation timed out and was withdrawn, told by the widget or by the service's deadline."""

    stored_name = State.TIMEDOUT
    state = State.TIMEDOUT


@dataclass(frozen=True, kw_only=True)
class Started(LifecycleEvent):
    """The visitor submitted the form; the chat interaction started."""

    stored_name = State.STARTED
    state = State.STARTED


@dataclass(frozen=True, kw_only=True)
class Abandoned(LifecycleEvent):
    """The visitor closed the window before an agent connected."""

    stored_name = State.ABANDONED
    state = State.ABANDONED


@dataclass(frozen=True, kw_only=True)
class Engaged(LifecycleEvent):
    """An agent accepted and connected."""

    stored_name = State.ENGAGED
    state = State.ENGAGED


@dataclass(frozen=True, kw_only=True)
class OfferRefused(SignalEvent):
    """An `offered` was refused, or an offer asked for was blocked; remembered for its action id.

    Attributes:
        reason: `terminal_state` or `already_open`.
        blocking_action_id: The action that stood against it.
        blocking_state: The state that action was in.
        blocking_since: When it had reached that state.
    """

    stored_name = "offer-refused"

    reason: Reason
    blocking_action_id: str
    blocking_state: State
    blocking_since: datetime

    @property
    def reported_state(self) -> State:
        """Always `offered`."""
        return State.OFFERED


@dataclass(frozen=True, kw_only=True)
class SignalParked(SignalEvent):
    """A signal came before its action was far enough; it waits. Its `visitor` keeps the text that came.

    Attributes:
        parked_state: The state it tells of.
        raw_length: Bytes of the text that came, where the text is cut; None where all of it is kept.
    """

    stored_name = "signal-parked"

    parked_state: State
    raw_length: int | None = None

    @property
    def reported_state(self) -> State:
        """The state that waits."""
        return self.parked_state


@dataclass(frozen=True, kw_only=True)
class ParkingEnded(Event):
    """A parked signal's time was over before its action came far enough.

    Attributes:
        parked_state: The state that the parked signal told of.
    """

    stored_name = "parking-ended"

    parked_state: State


LIFECYCLE_EVENTS: Final[dict[State, type[LifecycleEvent]]] = {
    event.state: event
    for event in (Offered, Accepted, Started, Rejected, Ignored, Errored, TimedOut, Abandoned, Engaged)
}
"""The event that records each state."""

EVENTS: Final[tuple[type[Event], ...]] = (
    *LIFECYCLE_EVENTS.values(),
    OfferRefused,
    SignalParked,
    ParkingEnded,
)
"""Every event that a stream may hold."""
