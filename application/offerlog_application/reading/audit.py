"""The audit of one visitor-offer: its history from the log, as it is now or as it was."""

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
        events: Its lifecycle events in order; the version of each is its place, from 1.
        known: True if any event was recorded for it by now, also where `events` is empty.
    """

    events: Sequence[LifecycleEvent]
    known: bool = True

    @property
    def version(self) -> int:
        """Number of lifecycle events."""
        return len(self.events)

    @property
    def state(self) -> State | None:
        """The state of its newest action; None where nothing was ever offered."""
        return self.events[-1].state if self.events else None


def history(events: Sequence[Event], *, version: int | None = None, as_of: datetime | None = None) -> History:
    """Return the history in a stream's events.

    Args:
        events: The whole stream, in order.
        version: Stop after this lifecycle event.
        as_of: Take only events recorded by then, by the service's clock; with an offset.

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
