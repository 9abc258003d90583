"""The fields that every event of a stream has, and those that it has of a signal.

The kinds of events are in `events`; `event_factory` builds them.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic.dataclasses import dataclass

from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.signals import NativeSignal
from offerlog_domain.uuids import format_uuid


@dataclass(frozen=True, kw_only=True)
class EventVisitor:
    """All that identifies a visitor, in one place of every event, so that it can be sealed there.

    Attributes:
        customer_id: The visitor's id.
        customer_id_type: The kind of that id.
        session_id: The visit.
        raw: The text of the signal as it came; None where the event does not keep it.
    """

    customer_id: str
    customer_id_type: str
    session_id: str
    raw: bytes | None = None

    @property
    def key(self) -> VisitorKey:
        """The visitor's identity within the organization."""
        return VisitorKey(self.customer_id_type, self.customer_id)


@dataclass(frozen=True, kw_only=True)
class Event:
    """The fields of every event of a stream.

    Attributes:
        originator_id: The visitor-offer's stream (see `identity`).
        originator_version: The place in the stream, from 1, without gaps.
        organization: The tenant.
        visitor: The visitor.
        action_map_id: The rule that made the offer.
        action_id: The invitation.
        recorded_at: The time at which the service accepted it, by the service's clock, UTC.
    """

    stored_name: ClassVar[str]
    stored_version: ClassVar[int] = 1

    originator_id: UUID
    originator_version: int
    organization: str
    visitor: EventVisitor
    action_map_id: str
    action_id: str
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class SignalEvent(Event):
    """An event made from a signal. It keeps the fields that distinguish a repeat from a contradiction.

    Attributes:
        media_type: The vendor's `actionMediaType`.
        action_map_version: The map's version; None where the signal had none.
        action_map_name: The map's display name; None where the signal had none.
        event_id: The signal's own id.
        occurred_at: The time at which it happened, UTC.
        dated: True if the signal had a time of its own; False if `occurred_at` is its time of arrival.
        error_code: The vendor's error code, as text.
        error_message: The error in words, for people.
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
        """The state that the signal reported."""
        raise NotImplementedError


def has_content_of(event: SignalEvent, signal: NativeSignal) -> bool:
    """Return True if a signal has the content of an event (domain rule "Content of a signal")."""
    return (
        event.action_id == format_uuid(signal.action_id)
        and event.reported_state is signal.state
        and event.media_type == signal.media_type
        and event.action_map_id == format_uuid(signal.action_map_id)
        and event.action_map_version == signal.action_map_version
        and event.visitor.session_id == format_uuid(signal.session_id)
        and (not event.dated or signal.occurred_at is None or event.occurred_at == signal.occurred_at)
        and event.error_code == signal.error_code
        and event.error_message == signal.error_message
        and event.timeout_seconds == signal.timeout_seconds
    )
