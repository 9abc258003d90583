"""A clock that a test sets."""

from datetime import UTC, datetime, timedelta

from offerlog_domain.errors import ArgumentError


class SettableClock:
    """A service's clock that stands still until it is set.

    Args:
        now: The time to begin with, aware; None for the machine's time.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = datetime.now(UTC)
        if now is not None:
            self.set(now)

    def now(self) -> datetime:
        """Return the time that was set, in UTC."""
        return self._now

    def set(self, now: datetime) -> None:
        """Set the time.

        Raises:
            ArgumentError: The time has no offset.
        """
        if now.tzinfo is None:
            raise ArgumentError("now", "a clock is set to a time with an offset")
        self._now = now.astimezone(UTC)

    def advance(self, period: timedelta) -> None:
        """Move the time forward, or backward by a negative period."""
        self._now += period
