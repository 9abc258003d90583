"""Ranges of reports, as people write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from offerlog_application.reading.instants import CalendarError, zone
from offerlog_application.reading.report_range import moment, report_range, report_time

NOW = datetime(2026, 11, 26, 18, 32, 7, tzinfo=UTC)
"""A Thursday."""


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        ("now", "UTC", "2026-11-26T18:45Z"),
        ("today", "UTC", "2026-11-26T00:00Z"),
        ("yesterday", "UTC", "2026-11-25T00:00Z"),
        ("tomorrow", "Europe/Berlin", "2026-11-26T23:00Z"),
        ("today", "Asia/Kathmandu", "2026-11-26T18:15Z"),  # there it is the 27th
        ("-0d", "Asia/Kathmandu", "2026-11-26T18:15Z"),
        ("-33d", "Europe/Berlin", "2026-10-23T22:00Z"),  # before the clocks went back
        ("-7d", "UTC", "2026-11-19T00:00Z"),
        ("-1h", "UTC", "2026-11-26T17:00Z"),
        ("-24h", "Asia/Kathmandu", "2026-11-25T18:15Z"),
        ("-0w", "UTC", "2026-11-23T00:00Z"),
        ("-4w", "UTC", "2026-10-26T00:00Z"),
        ("-0mo", "UTC", "2026-11-01T00:00Z"),
        ("-11mo", "UTC", "2025-12-01T00:00Z"),
        ("2026-11-20", "Europe/Berlin", "2026-11-19T23:00Z"),
        ("2026-11-20T10:15+02:00", "UTC", "2026-11-20T08:15Z"),
    ],
)
def test_a_time_is_absolute_or_relative_to_now_in_the_zone(text: str, name: str, meant: str) -> None:
    """Given a moment, when a text is read, then it means one quarter-hour."""
    found = report_time(text, zone(name), NOW, "from")
    assert found.tzinfo is UTC
    assert found.strftime("%Y-%m-%dT%H:%MZ") == meant


@pytest.mark.parametrize(
    ("last", "start", "end"),
    [("24h", "-24h", "-0h"), ("7d", "-7d", "today"), ("4w", "-4w", "-0w"), ("1mo", "-1mo", "-0mo")],
)
def test_last_means_whole_units_before_the_current_one(last: str, start: str, end: str) -> None:
    """Given a count, when it is read, then it is the same as both ends written out."""
    there = zone("America/New_York")
    assert report_range(None, None, last, there, NOW) == report_range(start, end, None, there, NOW)


@pytest.mark.parametrize(
    ("asked", "option", "cause"),
    [
        (("soon", None, None), "from", "is not a time: give a date"),
        ((None, "-7", None), "to", "is not a time"),
        ((None, "-7 d", None), "to", "yesterday"),
        (("-999999d", None, None), "from", "is too far away"),
        (("-99999mo", None, None), "from", "is too far away"),
        ((None, None, "0d"), "last", "give 24h, 7d, 4w or 1mo"),
        ((None, None, "-7d"), "last", "give 24h, 7d, 4w or 1mo"),
        (("today", None, "7d"), "last", "leave from and to out"),
    ],
)
def test_a_text_that_is_not_a_range_is_refused_with_the_option(
    asked: tuple[str | None, str | None, str | None], option: str, cause: str
) -> None:
    """Given a wrong text, when it is read, then the error names the option and says what to give."""
    with pytest.raises(CalendarError, match=cause) as caught:
        report_range(*asked, zone("UTC"), NOW)
    assert caught.value.option == option


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("today", NOW.replace(hour=0, minute=0, second=0, microsecond=0)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T10:00:00.5", datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-22 10:01+02:00", datetime(2026, 11, 22, 8, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_need_not_be_on_a_quarter_hour(text: str, meant: datetime) -> None:
    """Given a time or a word, when it is read, then it is an instant, by the days of UTC."""
    assert moment(text, NOW.astimezone(ZoneInfo("Asia/Tokyo")), "since") == meant


@pytest.mark.parametrize(
    "text", ["soon", "", "-1x", "2026-13-01", "10 minutes ago", "0001-01-01T00:00+01:00"]
)
def test_a_text_that_is_not_a_moment_is_refused_with_the_option(text: str) -> None:
    """Given a wrong text, when it is read, then the error names the option and says what to give."""
    with pytest.raises(CalendarError, match=r"is not a time: give 2026-11-22, .* -24h") as caught:
        moment(text, NOW, "since")
    assert caught.value.option == "since"


def test_a_moment_too_far_away_says_so() -> None:
    """Given a count beyond the calendar, when it is read, then the error does not call it no time."""
    with pytest.raises(CalendarError, match="too far away: give a smaller number"):
        moment("-999999d", NOW, "since")


def test_a_day_that_the_zone_skipped_is_named() -> None:
    """Given the day that Samoa left out, when `today` would be it, then the error says which day is meant."""
    with pytest.raises(CalendarError, match="means 2011-12-30, which is a day that Pacific/Apia skipped"):
        report_time("-1d", zone("Pacific/Apia"), datetime(2011, 12, 31, 0, 0, tzinfo=UTC), "from")
