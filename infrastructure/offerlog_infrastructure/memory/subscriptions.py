"""Subscriptions to the feed of a log in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_source import PositionAheadError
from offerlog_application.ports.positions import LogPosition, only_position
from offerlog_application.ports.subscriptions import (
    MOST_SUBSCRIPTIONS,
    Subscription,
    SubscriptionLimitError,
)
from offerlog_infrastructure.memory.log import MemoryLog


class MemorySubscriptions:
    """The application's `SubscriptionStore`; thread-safe.

    A method has the errors of the method of `SubscriptionStore`, and those that it names.
    """

    def __init__(self, log: MemoryLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._found: dict[tuple[str, str], Subscription] = {}

    def put(self, organization: str, name: str, position: LogPosition, now: datetime) -> None:
        """Make a subscription at a position, or move it there; never back."""
        key, position = (organization, name), only_position(position)
        with self._log.lock:
            if position > self._log.last():
                raise PositionAheadError(position, self._log.last())
            if key in self._found:
                if position > only_position(self._found[key].position):
                    self._found[key] = replace(self._found[key], position=position, moved_at=now)
                return
            if sum(one == organization for one, _ in self._found) >= MOST_SUBSCRIPTIONS:
                raise SubscriptionLimitError
            self._found[key] = Subscription(organization, name, position, now, None, 0, 0.0)

    def all(self, organization: str | None = None) -> Sequence[Subscription]:
        """List the subscriptions of one organization, or of all, sorted by organization and name."""
        with self._log.lock:
            found = [one for _, one in sorted(self._found.items())]
            return [self._with_lag(one) for one in found if organization in {None, one.organization}]

    def find(self, organization: str, name: str) -> Subscription | None:
        """Return a subscription; None if there is none of that name."""
        return next((one for one in self.all(organization) if one.name == name), None)

    def delete(self, organization: str, name: str) -> bool:
        """Delete a subscription; returns False if there is none of that name."""
        with self._log.lock:
            return self._found.pop((organization, name), None) is not None

    def delete_all(self, organization: str) -> int:
        """Delete the subscriptions of an organization; returns their number."""
        with self._log.lock:
            own = [key for key in self._found if key[0] == organization]
            for key in own:
                del self._found[key]
            return len(own)

    def _with_lag(self, one: Subscription) -> Subscription:
        missing = self._log.events_in_order[only_position(one.position) :]
        oldest = missing[0].recorded.event.recorded_at if missing else None
        seconds = 0.0 if oldest is None else max((self._clock.now() - oldest).total_seconds(), 0.0)
        return replace(one, lag_events=len(missing), lag_seconds=seconds)
