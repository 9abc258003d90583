"""What every event of a visitor-offer's stream says, and what one made from a signal says besides.

The kinds of events are in `events`.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from pydantic.dataclasses import dataclass

from offerlog_domain.lifecycle import State
from offerlog_domain.signals import Signal

_set: Final = object.__setattr__  # how a frozen dataclass is filled
_new: Final = object.__new__


class Value:
    """An immutable value."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Make one of values known to be right, every field given, without validating them again.

        Events are made of a signal that was validated when it came in; doing so again for each event
        costs more than deciding it.
        """
        value = _new(cls)
        _set(value, "__dict__", told)
        return value


@dataclass(frozen=True, kw_only=True)
class EventVisitor(Value):
    """What identifies a visitor; kept in one place of every event, so that it can be sealed there.

    Attributes:
        customer_id: Who is on the site.
        customer_id_type: What kind of id that is.
        session_id: The visit.
        raw: The text that came, where the event keeps it.
    """

    customer_id: str
    customer_id_type: str
    session_id: str
    raw: bytes | None = None

    def keeping(self, raw: bytes | None) -> "EventVisitor":
        """The same with another text kept."""
        told = {"customer_id": self.customer_id, "customer_id_type": self.customer_id_type}
        return EventVisitor.of(told | {"session_id": self.session_id, "raw": raw})


@dataclass(frozen=True, kw_only=True)
class Event(Value):
    """What every event of a stream says.

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
    visitor: EventVisitor
    action_map_id: str
    action_id: str
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class SignalEvent(Event):
    """A event made from a signal; it keeps what tells a repeat from a contradiction.

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


SIGNAL_EVENT_FIELDS: Final = tuple(field.name for field in fields(SignalEvent))
"""What every event made from a signal says."""
