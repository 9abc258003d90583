"""The simulated days: the visiting hours in UTC, and the text of an instant.

An instant is the number of milliseconds since the first midnight of the period.
"""

from bisect import bisect_right
from datetime import date
from itertools import accumulate
from typing import Final

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

DAY_CURVE: Final = (2, 1, 1, 1, 1, 2, 5, 12, 25, 42, 50, 44, 32, 36, 48, 50, 42, 30, 22, 18, 15, 11, 7, 4)
"""The number of visits by hour: a quiet night, and a peak before and after noon."""

WEEKEND: Final = 0.5
"""The visits of a Saturday or Sunday, compared with a working day."""

SATURDAY: Final = 5


class Period:
    """`days` days from midnight UTC of `start`."""

    def __init__(self, start: date, days: int) -> None:
        self._first_day = start.toordinal()
        self._busy_until = list(accumulate(self._busyness(hour) for hour in range(24 * days)))
        self._today = (-1, "")
        self.end = days * DAY

    def _busyness(self, hour: int) -> float:
        day, hour_of_day = divmod(hour, 24)
        weekday = date.fromordinal(self._first_day + day).weekday()
        return DAY_CURVE[hour_of_day] * (WEEKEND if weekday >= SATURDAY else 1.0)

    def instant(self, share: float) -> int:
        """Return the instant by which `share` (from 0, below 1) of the period's visits have begun."""
        return self._busy_instant(share * self._busy_until[-1])

    def instant_on(self, day: int, share: float) -> int:
        """Return the instant by which `share` of the visits of a day (the first is 0) have begun.

        For a day outside the period, return an instant at its end.
        """
        if day * DAY >= self.end:
            return self.end
        before = self._busy_until[24 * day - 1] if day else 0.0
        return self._busy_instant(before + share * (self._busy_until[24 * day + 23] - before))

    def _busy_instant(self, busyness: float) -> int:
        hour = min(bisect_right(self._busy_until, busyness), len(self._busy_until) - 1)
        before = self._busy_until[hour - 1] if hour else 0.0
        return int(HOUR * (hour + (busyness - before) / (self._busy_until[hour] - before)))

    def stamp(self, instant: int) -> str:
        """Write an instant as RFC 3339 in UTC with milliseconds, such as `2026-11-22T10:00:00.123Z`."""
        day, rest = divmod(instant, DAY)
        if self._today[0] != day:
            self._today = (day, date.fromordinal(self._first_day + day).isoformat())
        seconds, milliseconds = divmod(rest, SECOND)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        return f"{self._today[1]}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"
