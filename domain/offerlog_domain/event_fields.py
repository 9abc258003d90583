"""The fields of events: those that anybody may read, and those that identify somebody.

An `Event` holds public fields alone: times, the action map, states and numbers. Counts and proofs need
nothing else. `PrivateFields` holds what identifies a person or a visit. A `RecordedEvent` joins the two with
the place in the stream. In a `SealedEvent` the private fields are closed. `events` has the kinds of events.
"""

from datetime import datetime
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from offerlog_domain.lifecycle import State
from offerlog_domain.signals import NativeSignal


class PrivateFields(Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """The fields of an event that identify somebody. A log seals them. The visitor is not among them.

    Attributes:
        session_id: The visit.
        action_id: The invitation.
        event_id: The signal's own id; None where it had none.
        error_code: The vendor's error code, as text.
        error_message: The error in words, for people.
        blocking_action_id: Of an `OfferRefused`: the action that blocked the offer. None for any other kind.
        raw: Of a `SignalParked`: the text of the signal as it came. None for any other kind.
    """

    session_id: UUID
    action_id: UUID
    event_id: UUID | None = None
    error_code: str | None = None
    error_message: str | None = None
    blocking_action_id: UUID | None = None
    raw: bytes | None = None


class Event(Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """The public fields of every event of a stream.

    Attributes:
        organization: The tenant.
        action_map_id: The rule that made the offer.
        recorded_at: The time at which the service accepted it, by the service's clock, UTC.
    """

    stored_name: ClassVar[str]
    stored_version: ClassVar[int] = 2

    organization: str
    action_map_id: UUID
    recorded_at: datetime


class SignalEvent(Event, frozen=True, kw_only=True):
    """The public fields of an event that was made from a signal.

    Attributes:
        media_type: The vendor's `actionMediaType`.
        occurred_at: The time at which it happened, UTC.
        dated: True if the signal stated its time; False if `occurred_at` is the moment of its decision.
        action_map_version: The map's version; None where the signal had none.
        action_map_name: The map's display name; None where the signal had none.
        timeout_seconds: The widget's time-out.
    """

    media_type: str
    occurred_at: datetime
    dated: bool = True
    action_map_version: int | None = None
    action_map_name: str | None = None
    timeout_seconds: int | None = None

    @property
    def reported_state(self) -> State:
        """The state that the signal reported."""
        raise NotImplementedError


E_co = TypeVar("E_co", bound=Event, covariant=True)


class RecordedEvent(Struct, Generic[E_co], frozen=True, gc=False):
    """An event in its stream, with its private fields.

    Attributes:
        originator_id: The visitor-offer, by the id of its `OfferKey`.
        originator_version: The place in the stream, from 1, without gaps.
        event: The public fields.
        private: The fields that identify somebody.
    """

    originator_id: UUID
    originator_version: int
    event: E_co
    private: PrivateFields


class SealedEvent(Struct, Generic[E_co], frozen=True, gc=False):
    """An event in its stream, as the log keeps it: whoever folds it reads public fields alone.

    Attributes:
        originator_id: The stream in the log (see `stream_ids`).
        originator_version: The place in the stream, from 1, without gaps.
        event: The public fields.
        sealed: The private fields, which the visitor's key opens.
    """

    originator_id: UUID
    originator_version: int
    event: E_co
    sealed: bytes


def has_content_of(recorded: RecordedEvent[SignalEvent], signal: NativeSignal) -> bool:
    """Return True if a signal has the content that an event keeps (domain rule "Content of a signal")."""
    event, private = recorded.event, recorded.private
    return (
        private.action_id == signal.action_id
        and event.reported_state is signal.state
        and event.media_type == signal.media_type
        and event.action_map_id == signal.action_map_id
        and event.action_map_version == signal.action_map_version
        and private.session_id == signal.session_id
        and (not event.dated or signal.occurred_at is None or event.occurred_at == signal.occurred_at)
        and private.error_code == signal.error_code
        and private.error_message == signal.error_message
        and event.timeout_seconds == signal.timeout_seconds
    )
