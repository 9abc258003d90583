"""The immutable facts that a visitor-offer's stream holds, in the past tense.

Nine *lifecycle events* tell what became of an action; three *bookkeeping facts* (an offer refused, a
signal parked, a parking ended) stand in the same stream, so that the stream's version guards them
too and the aggregate is rebuilt from one source (docs/decisions/0001). Every fact has a stored name
and a version that never change with the code; import paths are not stored.
"""

from datetime import datetime
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.signals import Signal

_set: Final = object.__setattr__  # how pydantic itself fills a frozen model

_NONE_SET: Final[set[str]] = set()
"""Which fields a caller set explicitly is of no interest for facts; one set serves all."""


class Value(BaseModel):
    """An immutable value."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """Make one of values known to be right, every field given, without validating them again.

        Facts are made of a signal that was validated when it came in; doing so again for each fact
        costs more than deciding it.
        """
        value = cls.__new__(cls)
        _set(value, "__dict__", told)
        _set(value, "__pydantic_fields_set__", _NONE_SET)
        _set(value, "__pydantic_extra__", None)
        _set(value, "__pydantic_private__", None)
        return value


class Visitor(Value):
    """What identifies a visitor; kept in one place of every fact, so that it can be sealed there.

    Attributes:
        customer_id: Who is on the site.
        customer_id_type: What kind of id that is.
        session_id: The visit.
        raw: The text that came, where the fact keeps it.
    """

    customer_id: str
    customer_id_type: str
    session_id: str
    raw: bytes | None = None


class Fact(Value):
    """What every fact of a stream says.

    Attributes:
        originator_id: The visitor-offer's stream (see `identity`).
        originator_version: The place in the stream, from 1, without gaps.
        organization: The tenant.
        visitor: Who.
        action_map_id: The rule that made the offer.
        action_id: The invitation.
        recorded_at: When the service accepted it, by the service's clock, UTC.
    """

    stored_name: ClassVar[str]
    stored_version: ClassVar[int] = 1

    originator_id: UUID
    originator_version: int
    organization: str
    visitor: Visitor
    action_map_id: str
    action_id: str
    recorded_at: datetime


class Report(Fact):
    """A fact made from a signal; it keeps what tells a repeat from a contradiction.

    Attributes:
        media_type: The vendor's `actionMediaType`.
        action_map_version: The map's version, None where not told.
        action_map_name: The map's display name, None where not told.
        event_id: The report's own id.
        occurred_at: When it happened, UTC.
        dated: Whether the report itself said when; False means time of arrival.
        error_code: As text.
        error_message: For people.
        timeout_seconds: The widget's time-out.
    """

    media_type: str
    action_map_version: int | None = None
    action_map_name: str | None = None
    event_id: str | None = None
    occurred_at: datetime
    dated: bool = True
    error_code: str | None = None
    error_message: str | None = None
    timeout_seconds: int | None = None

    @property
    def reported_state(self) -> State:
        """The state that the report told of."""
        raise NotImplementedError

    def same_content(self, signal: Signal) -> bool:
        """Whether a signal says just what this report said (domain rule "Content of a signal")."""
        return (
            self.action_id == signal.action_id
            and self.reported_state is signal.state
            and self.media_type == signal.media_type
            and self.action_map_id == signal.action_map_id
            and self.action_map_version == signal.action_map_version
            and self.visitor.session_id == signal.session_id
            and (not self.dated or signal.occurred_at is None or self.occurred_at == signal.occurred_at)
            and self.error_code == signal.error_code
            and self.error_message == signal.error_message
            and self.timeout_seconds == signal.timeout_seconds
        )


class LifecycleEvent(Report):
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


class Offered(LifecycleEvent):
    """The invitation was shown."""

    stored_name = State.OFFERED
    state = State.OFFERED


class Accepted(LifecycleEvent):
    """The visitor accepted the invitation."""

    stored_name = State.ACCEPTED
    state = State.ACCEPTED


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


class Ignored(LifecycleEvent):
    """The visitor navigated away from or around the invitation."""

    stored_name = State.IGNORED
    state = State.IGNORED


class Errored(LifecycleEvent):
    """A widget error prevented the engagement; the map may offer again."""

    stored_name = State.ERRORED
    state = State.ERRORED


class TimedOut(LifecycleEvent):
    """The invitation timed out and was withdrawn, told by the widget or by the service's deadline."""

    stored_name = State.TIMEDOUT
    state = State.TIMEDOUT


class Started(LifecycleEvent):
    """The visitor submitted the form; the chat interaction started."""

    stored_name = State.STARTED
    state = State.STARTED


class Abandoned(LifecycleEvent):
    """The visitor closed the window before an agent connected."""

    stored_name = State.ABANDONED
    state = State.ABANDONED


class Engaged(LifecycleEvent):
    """An agent accepted and connected."""

    stored_name = State.ENGAGED
    state = State.ENGAGED


class OfferRefused(Report):
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


class SignalParked(Report):
    """A signal came before its action was far enough; it waits. Its `visitor` keeps the raw text.

    Attributes:
        parked_state: The state it tells of.
    """

    stored_name = "signal-parked"

    parked_state: State

    @property
    def reported_state(self) -> State:
        """The state that waits."""
        return self.parked_state


class ParkingEnded(Fact):
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

FACTS: Final[tuple[type[Fact], ...]] = (*LIFECYCLE_EVENTS.values(), OfferRefused, SignalParked, ParkingEnded)
"""Every fact that a stream may hold."""
