"""Times in options."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from offerlog_application.reading.instants import CalendarError
from offerlog_application.reading.report_range import report_time
from offerlog_infrastructure.cli.output import usage


def read_moment(text: str, option: str) -> datetime:
    """Read a date or a time, in UTC unless it has an offset, or a time relative to now as reports take it.

    Raises:
        UsageError: The text is not a time; names the option.
    """
    now = datetime.now(UTC)
    if text == "now":
        return now
    try:
        if not text[:1].isdigit():
            return report_time(text, ZoneInfo("UTC"), now, option)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (CalendarError, ValueError, OverflowError):
        raise usage(
            f"{option} {text!r} is not a time: give 2026-11-22, 2026-11-22T10:00, 2026-11-22T10:00:00Z, now,"
            " today, yesterday, or so many hours, days, weeks or months ago such as -24h, -7d, -4w, -1mo"
        ) from None


def read_optional_moment(text: str | None, option: str) -> datetime | None:
    """Read a date or a time, as `read_moment`; None stays None."""
    return None if text is None else read_moment(text, option)


def format_moment(moment: datetime) -> str:
    """Write a time for people, in UTC, to the millisecond."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
