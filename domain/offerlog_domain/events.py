"""The immutable facts that a visitor-offer's stream holds, in the past tense.

Nine *lifecycle events* tell what became of an action; three *bookkeeping facts* (an offer refused, a
signal parked, a parking ended) stand in the same stream, so that the stream's version guards them
too and the aggregate is rebuilt from one source (docs/decisions/0001). Every fact has a stored name
and a version that never change with the code; import paths are not stored.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from pydantic.dataclasses import dataclass

from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.signals import Signal

_set: Final = object.__setattr__  # how a frozen dataclass is filled
_new: Final = object.__new__


class Value:
    """An immutable value."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Make one of values known to be right, every field given, without validating them again.

        Facts are made of a signal that was validated when it came in; doing so again for each fact
        costs more than deciding it.
        """
        value = _new(cls)
        _set(value, "__dict__", told)
        return value


@dataclass(frozen=True, kw_only=True)
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

    def keeping(self, raw: bytes | None) -> "Visitor":
        """The same with another text kept."""
        told = {"customer_id": self.customer_id, "customer_id_type": self.customer_id_type}
        return Visitor.of(told | {"session_id": self.session_id, "raw": raw})


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class ParkingEnded(Fact):
    """A parked signal's time was over before its action came far enough.

    Attributes:
        parked_state: The state that the parked signal told of.
    """

    stored_name = "parking-ended"

    parked_state: State


REPORT_FIELDS: Final = tuple(field.name for field in fields(Report))
"""What every fact made from a signal says."""

LIFECYCLE_EVENTS: Final[dict[State, type[LifecycleEvent]]] = {
    event.state: event
    for event in (Offered, Accepted, Started, Rejected, Ignored, Errored, TimedOut, Abandoned, Engaged)
}
"""The event that records each state."""

FACTS: Final[tuple[type[Fact], ...]] = (*LIFECYCLE_EVENTS.values(), OfferRefused, SignalParked, ParkingEnded)
"""Every fact that a stream may hold."""
