"""The range of a report, as people write it: dates, times, and times relative to now.

The vocabulary is one for the command line and the HTTP service. It is documented in docs/reports.md under
"Ranges". Weeks begin on Monday, and days, hours, weeks and months are those of the report's zone.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from offerlog_application.projections.slots import at_slot, slot
from offerlog_application.reading.instants import CalendarError, instant

_COUNTED: Final = re.compile(r"([0-9]{1,6})(h|d|w|mo)")
_DAYS_BACK: Final = {"today": 0, "yesterday": 1, "tomorrow": -1}
_MONTHS: Final = 12
_HOUR: Final = timedelta(hours=1)
_MOMENTS: Final = "2026-11-22, 2026-11-22T10:00, 2026-11-22T10:00:00Z"
_MEANINGS: Final = (
    "today, yesterday, now, or so many hours, days, weeks or months ago such as -24h, -7d, -4w, -1mo"
)

Range = tuple[datetime | None, datetime | None]
"""The first instant that counts, and the first one that counts no longer; None where an end is open."""


class _Asked(NamedTuple):
    """A text of a caller, and what it is relative to."""

    option: str
    text: str
    zone: ZoneInfo
    now: datetime


def report_range(
    start: str | None, end: str | None, last: str | None, zone: ZoneInfo, now: datetime
) -> Range:
    """Return the range that a caller asks for, in UTC and on quarter-hours.

    Args:
        start: The first instant that counts; None for all time.
        end: The first instant that counts no longer; None for all time.
        last: So many whole units before the current one, such as `7d`, instead of `start` and `end`.
        zone: The zone of days, hours and local times.
        now: The current time, with an offset.

    Raises:
        CalendarError: A text is not such a time (option `from`, `to` or `last`), or `last` is not alone.
    """
    if last is None:
        return (
            None if start is None else report_time(start, zone, now, "from"),
            None if end is None else report_time(end, zone, now, "to"),
        )
    if start is not None or end is not None:
        raise CalendarError("last", last, "names both ends of the range: leave from and to out")
    counted = _COUNTED.fullmatch(last)
    if counted is None or not int(counted[1]):
        raise CalendarError(
            "last", last, "is not a number of hours, days, weeks or months: give 24h, 7d, 4w or 1mo"
        )
    asked = _Asked("last", last, zone, now)
    return _begin(int(counted[1]), counted[2], asked), _begin(0, counted[2], asked)


def report_time(text: str, zone: ZoneInfo, now: datetime, option: str) -> datetime:
    """Return one end of a report's range, in UTC and on a quarter-hour.

    Args:
        text: What `instant` takes; `now`, the end of the current quarter-hour; `today`, `yesterday`,
            `tomorrow`; or a count of units such as `-7d`, the beginning of the unit so many units ago.
        zone: The zone of days, hours and local times.
        now: The current time, with an offset.
        option: `from` or `to`, for the error.

    Raises:
        CalendarError: The text is not such a time.
    """
    asked = _Asked(option, text, zone, now)
    if text == "now":
        return at_slot(slot(now) + 1)
    if (relative := _read_relative(asked)) is not None:
        return relative
    if text[:1].isdigit():
        return instant(text, zone, option)
    raise CalendarError(
        option, text, f"is not a time: give a date (2026-03-29), a time (2026-03-29T01:30), {_MEANINGS}"
    )


def moment(text: str, now: datetime, option: str) -> datetime:
    """Return an instant that need not be on a quarter-hour, in UTC.

    Args:
        text: A date or a time, in UTC unless it has an offset; `now`; or another relative time of
            `report_time`, with the days of UTC.
        now: The current time, with an offset.
        option: The name of the parameter, for the error.

    Raises:
        CalendarError: The text is not such a time.
    """
    if text == "now":
        return now.astimezone(UTC)
    if (relative := _read_relative(_Asked(option, text, ZoneInfo("UTC"), now))) is not None:
        return relative
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CalendarError(option, text, f"is not a time: give {_MOMENTS}, {_MEANINGS}") from None


def _read_relative(asked: _Asked) -> datetime | None:
    """Return the beginning of a day or unit that a text counts from now; None for every other text."""
    text = asked.text
    if text in _DAYS_BACK:
        return _begin(_DAYS_BACK[text], "d", asked)
    counted = _COUNTED.fullmatch(text, 1) if text.startswith("-") else None
    return None if counted is None else _begin(int(counted[1]), counted[2], asked)


def _begin(count: int, unit: str, asked: _Asked) -> datetime:
    """Return the beginning of the unit that lies so many units before the current one."""
    local = asked.now.astimezone(asked.zone)
    try:
        if unit == "h":
            past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
            return at_slot(slot(asked.now.astimezone(UTC) - past - count * _HOUR))
        day = _first_day(local.date(), count, unit)
    except (OverflowError, ValueError):
        raise CalendarError(asked.option, asked.text, "is too far away: give a smaller number") from None
    try:
        return instant(day.isoformat(), asked.zone, asked.option)
    except CalendarError as error:
        raise CalendarError(asked.option, asked.text, f"means {error.value}, which {error.cause}") from None


def _first_day(today: date, count: int, unit: str) -> date:
    """Return the first day of the day, week or month that lies so many before the current one."""
    if unit == "d":
        return today - timedelta(days=count)
    if unit == "w":
        return today - timedelta(days=today.weekday(), weeks=count)
    month = today.year * _MONTHS + today.month - 1 - count
    return date(month // _MONTHS, month % _MONTHS + 1, 1)
