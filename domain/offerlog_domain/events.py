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
        action_number: Number of the action within its visitor-offer, from 1.
        offered_at: Time of the offer; for `Offered`, equal to `occurred_at`.
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
        """The stage of a rejection; None in every other event."""
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
        rejected_stage: The invitation or the form.
    """

    stored_name = State.REJECTED
    state = State.REJECTED

    rejected_stage: Stage

    @property
    def stage(self) -> Stage:
        """The stage of the rejection."""
        return self.rejected_stage


@dataclass(frozen=True, kw_only=True)
class Ignored(LifecycleEvent):
    """The visitor navigated away from or around the invitation."""

    stored_name = State.IGNORED
    state = State.IGNORED


@dataclass(frozen=True, kw_only=True)
class Errored(LifecycleEvent):
    """A widget error prevented the engagement; the action map may make a new offer."""

    stored_name = State.ERRORED
    state = State.ERRORED


@dataclass(frozen=True, kw_only=True)
class TimedOut(LifecycleEvent):
    """The invitation timed out and was withdrawn, as the widget or the service's deadline says."""

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
    """An `offered` signal was refused, or an offer request blocked. A repeat of its action id is recognized.

    Attributes:
        reason: `terminal_state` or `already_open`.
        blocking_action_id: The action that blocked the offer.
        blocking_state: The state of the blocking action.
        blocking_since: The time at which the blocking action reached that state.
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
    """A signal came too early for the state of its action and is parked. `visitor.raw` keeps its text.

    Attributes:
        parked_state: The state that the signal reports.
        raw_length: Bytes of the received text if `visitor.raw` is cut; None if all of it is kept.
    """

    stored_name = "signal-parked"

    parked_state: State
    raw_length: int | None = None

    @property
    def reported_state(self) -> State:
        """The state that the parked signal reports."""
        return self.parked_state


@dataclass(frozen=True, kw_only=True)
class ParkingEnded(Event):
    """A parked signal expired before its action reached the required state.

    Attributes:
        parked_state: The state that the parked signal reports.
    """

    stored_name = "parking-ended"

    parked_state: State


LIFECYCLE_EVENTS: Final[dict[State, type[LifecycleEvent]]] = {
    event.state: event
    for event in (Offered, Accepted, Started, Rejected, Ignored, Errored, TimedOut, Abandoned, Engaged)
}
"""The class of the event for each state."""

EVENTS: Final[tuple[type[Event], ...]] = (
    *LIFECYCLE_EVENTS.values(),
    OfferRefused,
    SignalParked,
    ParkingEnded,
)
"""Every event that a stream may hold."""
