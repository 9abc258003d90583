"""The history of one visitor-offer, read from the log: now, at a version, or at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from offerlog_domain.errors import ArgumentError
from offerlog_domain.event_fields import Event
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.lifecycle import State


@dataclass(frozen=True, slots=True)
class History:
    """A visitor-offer at some version.

    Attributes:
        events: Its lifecycle events in order. The version of an event is its place here, from 1; bookkeeping
            events are not counted.
        known: True if its stream holds any lifecycle event, even if `events` is empty.
    """

    events: Sequence[LifecycleEvent]
    known: bool = True

    @property
    def version(self) -> int:
        """Number of lifecycle events."""
        return len(self.events)

    @property
    def state(self) -> State | None:
        """The state of its newest action; None if `events` is empty."""
        return self.events[-1].state if self.events else None


def history(events: Sequence[Event], *, version: int | None = None, as_of: datetime | None = None) -> History:
    """Build the history from the events of a stream.

    Args:
        events: The whole stream, in order.
        version: Number of lifecycle events to keep; None for all.
        as_of: Keep only events recorded at or before this time: aware, by the service's clock.

    Raises:
        ArgumentError: `version` is negative, or `as_of` has no offset.
    """
    if version is not None and version < 0:
        raise ArgumentError("version", f"version: 0 or more is needed, not {version}")
    if as_of is not None and as_of.tzinfo is None:
        raise ArgumentError("as_of", "as_of: a time with an offset is needed")
    known: Iterator[Event] = iter(events)
    if as_of is not None:
        known = takewhile(lambda event: event.recorded_at <= as_of, known)
    reached = tuple(event for event in known if isinstance(event, LifecycleEvent))
    return History(reached[:version], known=any(isinstance(event, LifecycleEvent) for event in events))
