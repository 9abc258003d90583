"""Times as people write them, and the shifts of a zone's clocks.

The rules are in docs/command-line.md under "report".
"""

import re
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from offerlog_application.projections.slots import at_slot, slot
from offerlog_domain.errors import OfferlogError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_FIRST_YEAR: Final = 2  # a year inside datetime's range, so that neither an offset nor a week can leave it
_LAST_YEAR: Final = 9998
_WRITTEN: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?P<time>[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.(?P<fraction>[0-9]+))?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)?)?"
)


class CalendarError(OfferlogError, ValueError):
    """A time or zone that a report cannot use. Its text is one sentence that says what to give instead.

    Attributes:
        option: The option with the value: `from`, `to` or `zone`.
        value: The text of the caller.
        cause: The fault and what to do, as the end of a sentence that begins with option and value.
    """

    def __init__(self, option: str, value: str, cause: str) -> None:
        super().__init__(option, value, cause)
        self.option = option
        self.value = value
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.option} {self.value!r} {self.cause}."


def zone(name: str) -> ZoneInfo:
    """Return the time zone with that exact IANA name.

    Only listed names are accepted. `localtime` is not: it means another zone on each machine. (`ZoneInfo`
    itself also accepts `posixrules`, `right/UTC`, and on some file systems `europe/berlin`.)

    Raises:
        CalendarError: The name is not in the database (option `zone`).
    """
    names = _zone_names()
    if name not in names:
        near = get_close_matches(name, names, n=1) or ["Europe/Berlin"]
        raise CalendarError("zone", name, f"is not a time zone: give an IANA name such as {near[0]} or UTC")
    return ZoneInfo(name)


def instant(text: str, zone: ZoneInfo, option: str) -> datetime:
    """Return the instant of a report's `from` or `to`, in UTC and on a quarter of an hour.

    A date means the first instant of that day in the zone. A local time that occurs twice means its first
    occurrence. An explicit offset (or Z) wins over the zone.

    Args:
        text: A date `2026-03-29`, a time `2026-03-29T01:30` (seconds optional, T or space), or a time with
            its offset: `2026-03-29T01:30+02:00` or `Z`.
        zone: The zone of a date or local time.
        option: `from` or `to`, for the error.

    Raises:
        CalendarError: The text is not such a time, the day or time does not exist in the zone, the instant is
            not on a quarter of an hour of UTC, or it is outside the years 2 to 9998.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise CalendarError(
            option,
            text,
            "is not a time: give a date (2026-03-29), a local time (2026-03-29T01:30) "
            "or a time with its offset (2026-03-29T01:30+02:00 or 2026-03-29T01:30Z)",
        )
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise CalendarError(option, text, "is not in the calendar: give a day that is") from error
    if not _FIRST_YEAR <= given.year <= _LAST_YEAR:
        raise _out_of_range(option, text)
    if given.tzinfo is None:
        given = _in_zone(given, zone, option, text, whole_day=written["time"] is None)
    moment = given.astimezone(UTC)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:  # the offset carried it over the end of the range
        raise _out_of_range(option, text)
    quarter = slot(moment)
    if at_slot(quarter) != moment or (written["fraction"] or "").strip("0"):
        before, after = (
            at_slot(near).astimezone(given.tzinfo).isoformat() for near in (quarter, quarter + 1)
        )
        raise CalendarError(option, text, f"is not on a quarter of an hour of UTC: give {before} or {after}")
    return moment


def offset_at(seconds: int, zone: ZoneInfo) -> int:
    """Return the zone's offset from UTC, in seconds, at a POSIX time in seconds."""
    moment = _EPOCH + seconds * _SECOND
    return (moment.astimezone(zone).replace(tzinfo=UTC) - moment) // _SECOND


def shift_after(before: int, after: int, zone: ZoneInfo) -> int:
    """Return the POSIX second at which the zone leaves the offset it has at `before`.

    The clocks must shift exactly once in (before, after]; both are POSIX times in seconds.
    """
    left = offset_at(before, zone)
    return before + bisect_left(
        range(before, after), True, key=lambda seconds: offset_at(seconds, zone) != left
    )


def _in_zone(wall: datetime, zone: ZoneInfo, option: str, text: str, *, whole_day: bool) -> datetime:
    """Return the first instant at which the zone's clocks show `wall`, or of that day.

    Raises:
        CalendarError: The clocks skipped that time, or the whole of that day.
    """
    first = wall.replace(tzinfo=zone, fold=0)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # In a gap, fold 1 uses the offset after the shift, which gives an instant before the shift. Fold 0 does
    # the reverse (PEP 495).
    before, after = ((first.replace(fold=fold) - _EPOCH) // _SECOND for fold in (1, 0))
    resumed = (_EPOCH + shift_after(before, after, zone) * _SECOND).astimezone(zone)
    if not whole_day:
        raise CalendarError(
            option, text, f"does not exist in {zone.key}, whose clocks skipped it: give {resumed.isoformat()}"
        )
    if resumed.date() != wall.date():
        raise CalendarError(option, text, f"is a day that {zone.key} skipped: give {resumed.date()}")
    return resumed


def _out_of_range(option: str, text: str) -> CalendarError:
    return CalendarError(option, text, "is too far away: give a year from 0002 to 9998")


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})
