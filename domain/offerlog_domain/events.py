"""The immutable events that a visitor-offer's stream holds, in the past tense.

*Lifecycle events* tell what became of an action; three *bookkeeping events* (an offer refused, a
signal parked, a parking ended) stand in the same stream, so that the stream's version guards them
too and the aggregate is rebuilt from one source (docs/decisions/0001). Every event has a stored name
and a version that never change with the code; import paths are not stored.
"""

from datetime import datetime
from typing import ClassVar, Final, TypeGuard

from offerlog_domain.event_fields import Event, RecordedEvent, SealedEvent, SignalEvent
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason


class LifecycleEvent(SignalEvent, frozen=True, kw_only=True):
    """An action reached a state.

    Attributes:
        action_number: Number of the action among the offered ones of its visitor-offer, from 1. An event
            before the offer has the number that the next offer gets.
        offered_at: Time of the offer; equal to `occurred_at` for `Offered` and for an event before the offer.
        parked_version: Place in the stream of the parked signal that this event ends; None where none waited.
    """

    stored_version: ClassVar[int] = 3

    state: ClassVar[State]

    action_number: int
    offered_at: datetime
    parked_version: int | None = None

    @property
    def reported_state(self) -> State:
        """The state reached."""
        return self.state

    @property
    def stage(self) -> Stage | None:
        """The stage of a rejection; None in every other event."""
        return None


class EventBeforeOffer(LifecycleEvent, frozen=True):
    """An action reached a state before its offer; it may never be offered."""


class EventSinceOffer(LifecycleEvent, frozen=True):
    """An action was offered, or reached a state after that."""


class Offered(EventSinceOffer, frozen=True):
    """The invitation was shown."""

    stored_name: ClassVar[str] = State.OFFERED
    state: ClassVar[State] = State.OFFERED


class Accepted(EventSinceOffer, frozen=True):
    """The visitor accepted the invitation."""

    stored_name: ClassVar[str] = State.ACCEPTED
    state: ClassVar[State] = State.ACCEPTED


class Rejected(EventSinceOffer, frozen=True, kw_only=True):
    """The visitor turned the offer down, at the invitation or at the form.

    Attributes:
        rejected_stage: The invitation or the form.
    """

    stored_name: ClassVar[str] = State.REJECTED
    state: ClassVar[State] = State.REJECTED

    rejected_stage: Stage

    @property
    def stage(self) -> Stage:
        """The stage of the rejection."""
        return self.rejected_stage


class Ignored(EventSinceOffer, frozen=True):
    """The visitor navigated away from or around the invitation."""

    stored_name: ClassVar[str] = State.IGNORED
    state: ClassVar[State] = State.IGNORED


class Errored(EventSinceOffer, frozen=True):
    """A widget error prevented the engagement; the action map may make a new offer."""

    stored_name: ClassVar[str] = State.ERRORED
    state: ClassVar[State] = State.ERRORED


class TimedOut(EventSinceOffer, frozen=True):
    """The invitation timed out and was withdrawn, as the widget or the service's deadline says."""

    stored_name: ClassVar[str] = State.TIMEDOUT
    state: ClassVar[State] = State.TIMEDOUT


class Started(EventSinceOffer, frozen=True):
    """The visitor submitted the form; the chat interaction started."""

    stored_name: ClassVar[str] = State.STARTED
    state: ClassVar[State] = State.STARTED


class Abandoned(EventSinceOffer, frozen=True):
    """The visitor closed the window before an agent connected."""

    stored_name: ClassVar[str] = State.ABANDONED
    state: ClassVar[State] = State.ABANDONED


class Engaged(EventSinceOffer, frozen=True):
    """An agent accepted and connected."""

    stored_name: ClassVar[str] = State.ENGAGED
    state: ClassVar[State] = State.ENGAGED


class Qualified(EventBeforeOffer, frozen=True):
    """Activity qualified the action map; the invitation is not shown yet."""

    stored_name: ClassVar[str] = State.QUALIFIED
    state: ClassVar[State] = State.QUALIFIED


class QualifiedOutsideSchedule(EventBeforeOffer, frozen=True):
    """The action map qualified outside its schedule; nothing is offered."""

    stored_name: ClassVar[str] = State.QUALIFIED_OUTSIDE_SCHEDULE
    state: ClassVar[State] = State.QUALIFIED_OUTSIDE_SCHEDULE


class OfferedOutsideSchedule(EventBeforeOffer, frozen=True):
    """The offer would be outside the schedule; it is withheld."""

    stored_name: ClassVar[str] = State.OFFERED_OUTSIDE_SCHEDULE
    state: ClassVar[State] = State.OFFERED_OUTSIDE_SCHEDULE


class FrequencyCapReached(EventBeforeOffer, frozen=True):
    """The visitor was offered as much as the frequency cap allows; the offer is withheld."""

    stored_name: ClassVar[str] = State.FREQUENCY_CAP_REACHED
    state: ClassVar[State] = State.FREQUENCY_CAP_REACHED


class OfferRefused(SignalEvent, frozen=True, kw_only=True):
    """An `offered` signal was refused, or an offer request blocked. A repeat of its action id is recognized.

    Attributes:
        reason: `terminal_state` or `already_open`.
        blocking_state: The state of the blocking action.
        blocking_since: The time at which the blocking action reached that state.
        parked_versions: Places in the stream of the parked signals that this event ends.
    """

    stored_name: ClassVar[str] = "offer-refused"

    reason: Reason
    blocking_state: State
    blocking_since: datetime
    parked_versions: tuple[int, ...] = ()

    @property
    def reported_state(self) -> State:
        """Always `offered`."""
        return State.OFFERED


class SignalParked(SignalEvent, frozen=True, kw_only=True):
    """A signal came too early for the state of its action and is parked. `PrivateFields.raw` keeps its text.

    Attributes:
        parked_state: The state that the signal reports.
        raw_length: Bytes of the received text if `PrivateFields.raw` is cut; None if all of it is kept.
    """

    stored_name: ClassVar[str] = "signal-parked"

    parked_state: State
    raw_length: int | None = None

    @property
    def reported_state(self) -> State:
        """The state that the parked signal reports."""
        return self.parked_state


class ParkingEnded(Event, frozen=True, kw_only=True):
    """A parked signal expired before its action reached the required state.

    Attributes:
        parked_state: The state that the parked signal reports.
        parked_version: Place in the stream of the parked signal.
    """

    stored_name: ClassVar[str] = "parking-ended"

    parked_state: State
    parked_version: int | None = None


LIFECYCLE_EVENTS: Final[dict[State, type[LifecycleEvent]]] = {
    event.state: event
    for event in (
        Offered,
        Accepted,
        Started,
        Rejected,
        Ignored,
        Errored,
        TimedOut,
        Abandoned,
        Engaged,
        Qualified,
        QualifiedOutsideSchedule,
        OfferedOutsideSchedule,
        FrequencyCapReached,
    )
}
"""The class of the event for each state."""

EVENTS: Final[tuple[type[Event], ...]] = (
    *LIFECYCLE_EVENTS.values(),
    OfferRefused,
    SignalParked,
    ParkingEnded,
)
"""Every event that a stream may hold."""


def is_lifecycle_event(recorded: RecordedEvent[Event]) -> TypeGuard[RecordedEvent[LifecycleEvent]]:
    """Return True for an event that tells what became of an action."""
    return isinstance(recorded.event, LifecycleEvent)


def is_sealed_lifecycle_event(sealed: SealedEvent[Event]) -> TypeGuard[SealedEvent[LifecycleEvent]]:
    """Return True for a sealed event that tells what became of an action."""
    return isinstance(sealed.event, LifecycleEvent)
