"""Times in options."""

from datetime import UTC, datetime

from offerlog_application.reading.instants import CalendarError
from offerlog_application.reading.report_range import moment
from offerlog_infrastructure.cli.output import usage


def read_moment(text: str, option: str) -> datetime:
    """Read a date or a time, in UTC unless it has an offset, or a time relative to now as reports take it.

    Raises:
        UsageError: The text is not a time; names the option.
    """
    try:
        return moment(text, datetime.now(UTC), option)
    except CalendarError as error:
        raise usage(f"{option} {text!r} {error.cause}") from None


def read_optional_moment(text: str | None, option: str) -> datetime | None:
    """Read a date or a time, as `read_moment`; None stays None."""
    return None if text is None else read_moment(text, option)


def format_moment(moment: datetime) -> str:
    """Write a time for people, in UTC, to the millisecond."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
