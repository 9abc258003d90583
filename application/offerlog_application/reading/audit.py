"""The history of one visitor-offer, read from the log: now, at a version, or at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

from offerlog_domain.errors import ArgumentError
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import LifecycleEvent, is_lifecycle_event
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.uuids import format_uuid


class HistoryEvent(NamedTuple):
    """One lifecycle event of a visitor-offer, as people see it: ids are text, times are in UTC.

    Attributes:
        state: The state that the action reached.
        stage: The stage of a rejection; None in every other event.
        action_id: The invitation.
        action_number: Number of the action within its visitor-offer, from 1.
        occurred_at: The time at which it happened.
        dated: True if the signal stated its time; False if `occurred_at` is the moment of its decision.
        offered_at: Time of the offer.
        recorded_at: The time at which the service accepted it, by the service's clock.
        visitor: The visitor.
        session_id: The visit.
        event_id: The signal's own id; None where it had none.
        media_type: The vendor's `actionMediaType`.
        action_map_version: The map's version; None where the signal had none.
        action_map_name: The map's display name; None where the signal had none.
        timeout_seconds: The widget's time-out; None where it has none.
        error_code: The vendor's error code, as text.
        error_message: The error in words, for people.
    """

    state: State
    stage: Stage | None
    action_id: str
    action_number: int
    occurred_at: datetime
    dated: bool
    offered_at: datetime
    recorded_at: datetime
    visitor: VisitorKey
    session_id: str
    event_id: str | None
    media_type: str
    action_map_version: int | None
    action_map_name: str | None
    timeout_seconds: int | None
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class History:
    """A visitor-offer at some version.

    Attributes:
        events: Its lifecycle events in order. The version of an event is its place here, from 1; bookkeeping
            events are not counted.
        known: True if its stream holds any lifecycle event, even if `events` is empty.
    """

    events: Sequence[HistoryEvent]
    known: bool = True

    @property
    def version(self) -> int:
        """Number of lifecycle events."""
        return len(self.events)

    @property
    def state(self) -> State | None:
        """The state of its newest action; None if `events` is empty."""
        return self.events[-1].state if self.events else None


def history(
    events: Sequence[RecordedEvent[Event]],
    visitor: VisitorKey,
    *,
    version: int | None = None,
    as_of: datetime | None = None,
) -> History:
    """Build the history from the events of a stream.

    Args:
        events: The whole stream, in order.
        visitor: Whose stream it is.
        version: Number of lifecycle events to keep; None for all.
        as_of: Keep only events recorded at or before this time: aware, by the service's clock.

    Raises:
        ArgumentError: `version` is negative, or `as_of` has no offset.
    """
    if version is not None and version < 0:
        raise ArgumentError("version", f"version: 0 or more is needed, not {version}")
    if as_of is not None and as_of.tzinfo is None:
        raise ArgumentError("as_of", "as_of: a time with an offset is needed")
    visible: Iterator[RecordedEvent[Event]] = iter(events)
    if as_of is not None:
        visible = takewhile(lambda recorded: recorded.event.recorded_at <= as_of, visible)
    reached = [recorded for recorded in visible if is_lifecycle_event(recorded)]
    shown = tuple(_show(recorded, visitor) for recorded in reached[:version])
    return History(shown, known=any(map(is_lifecycle_event, events)))


def _show(recorded: RecordedEvent[LifecycleEvent], visitor: VisitorKey) -> HistoryEvent:
    event, private = recorded.event, recorded.private
    return HistoryEvent(
        event.state,
        event.stage,
        format_uuid(private.action_id),
        event.action_number,
        event.occurred_at,
        event.dated,
        event.offered_at,
        event.recorded_at,
        visitor,
        format_uuid(private.session_id),
        None if private.event_id is None else format_uuid(private.event_id),
        event.media_type,
        event.action_map_version,
        event.action_map_name,
        event.timeout_seconds,
        private.error_code,
        private.error_message,
    )
