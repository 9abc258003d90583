"""Reports' calendar against examples from the world's clocks."""

import pickle
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offerlog_application.projections.slots import SLOT_SECONDS, at_slot, slot
from offerlog_application.reading.calendar import buckets
from offerlog_application.reading.instants import CalendarError, instant, zone
from offerlog_domain.metrics import Granularity

TOTAL, HOUR, DAY, WEEK, MONTH = Granularity


def utc(text: str, name: str) -> str:
    """Return the instant that a text means in a zone, as UTC text to the minute."""
    moment = instant(text, zone(name), "from")
    assert moment.tzinfo is UTC
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def refusal(text: str, name: str) -> str:
    """Return the sentence with which a text is refused in a zone."""
    with pytest.raises(CalendarError) as caught:
        instant(text, zone(name), "to")
    assert (caught.value.option, caught.value.value) == ("to", text)
    assert caught.value.cause in str(caught.value)
    return str(caught.value)


def rows(first: str, end: str, name: str, by: Granularity) -> list[tuple[str | None, float]]:
    """Return label and length in hours of each bucket between two times."""
    there = zone(name)
    cut = buckets(slot(instant(first, there, "from")), slot(instant(end, there, "to")), there, by)
    return [(each.label, (each.end - each.first) / 4) for each in cut]


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00Z"),
        ("2026-03-30", "Europe/Berlin", "2026-03-29T22:00Z"),
        ("2026-03-29", "Asia/Kathmandu", "2026-03-28T18:15Z"),
        ("2026-03-29", "Asia/Kolkata", "2026-03-28T18:30Z"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00Z"),  # the clocks went from 00:00 to 01:00
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00Z"),
        ("2026-11-01", "America/Havana", "2026-11-01T04:00Z"),  # 00:00 comes twice
        ("2009-11-01", "America/St_Johns", "2009-11-01T02:30Z"),
    ],
)
def test_a_date_means_the_first_instant_of_that_day_in_the_zone(text: str, name: str, meant: str) -> None:
    """A day without midnight begins when its clocks resume; of two midnights, the first counts."""
    assert utc(text, name) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-03-29T01:30", "2026-03-29T00:30Z"),
        ("2026-03-29 01:30", "2026-03-29T00:30Z"),
        ("2026-03-29T01:30:00", "2026-03-29T00:30Z"),
        ("2026-03-29T01:30:00.000", "2026-03-29T00:30Z"),
        ("2026-03-29T01:30Z", "2026-03-29T01:30Z"),
        ("2026-03-29T01:30:00.000Z", "2026-03-29T01:30Z"),
        (
            "2026-03-29T02:30-05:00",
            "2026-03-29T07:30Z",
        ),  # 02:30 does not exist in Berlin, but the offset wins
        ("2026-03-29T02:37+00:07", "2026-03-29T02:30Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30Z"),  # twice; the first, in summer time
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30Z"),
    ],
)
def test_a_time_is_local_unless_it_has_an_offset(text: str, meant: str) -> None:
    """An explicit offset wins over the zone; an ambiguous local time means its first occurrence."""
    assert utc(text, "Europe/Berlin") == meant


@pytest.mark.parametrize(
    ("text", "name", "instead"),
    [
        ("2026-03-29T02:00", "Europe/Berlin", "2026-03-29T03:00:00+02:00"),
        ("2026-03-29T02:45", "Europe/Berlin", "2026-03-29T03:00:00+02:00"),
        ("2026-03-08T02:30", "America/New_York", "2026-03-08T03:00:00-04:00"),
        ("2018-11-04T00:00", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-04T02:30:00+11:00"),
        ("2011-12-30", "Pacific/Apia", "2011-12-31"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
        ("1993-08-21", "Pacific/Kwajalein", "1993-08-22"),
    ],
)
def test_a_time_or_day_that_the_clocks_skipped_is_refused(text: str, name: str, instead: str) -> None:
    """The refusal names the zone and gives the first time after the gap, which is accepted."""
    sentence = refusal(text, name)
    assert name in sentence
    assert sentence.endswith(f"give {instead}.")
    assert utc(instead, name)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("2026-03-29T01:20", "2026-03-29T01:15:00+01:00", "2026-03-29T01:30:00+01:00"),
        ("2026-03-29T01:50", "2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("2026-06-01T10:07Z", "2026-06-01T10:00:00+00:00", "2026-06-01T10:15:00+00:00"),
        ("2026-06-01T10:15:01-03:00", "2026-06-01T10:15:00-03:00", "2026-06-01T10:30:00-03:00"),
        ("2026-06-01T10:15:00.0000001Z", "2026-06-01T10:15:00+00:00", "2026-06-01T10:30:00+00:00"),
        ("1850-01-01", "1849-12-31T23:53:28+00:53:28", "1850-01-01T00:08:28+00:53:28"),
    ],
)
def test_times_finer_than_a_quarter_of_an_hour_are_refused(text: str, before: str, after: str) -> None:
    """The refusal gives the quarters of UTC on both sides, even of a day that begins between two of them."""
    assert refusal(text, "Europe/Berlin").endswith(f"give {before} or {after}.")
    assert utc(before, "Europe/Berlin") < utc(after, "Europe/Berlin")


NO_TIMES = [
    *("today", "2026", "2026-03", "20260329", "2026-W13-7", "2026-088", "2026-03-29Z", "29.03.2026"),
    *("2026-02-30", "2026-13-01", "0000-01-01", "-2026-03-29", "12026-03-29", "2026-03-29T10"),
    *("2026-03-29T24:00", "2026-03-29T10:60", "2026-03-29T10:00:60", "2026-03-29T10:00+25:00"),
    *("2026-03-29T10:00+0200", "٢٠٢٦-03-29", "2026-03-29T10:00,5"),
]


@pytest.mark.parametrize(
    "text", [*NO_TIMES, "", "2026-03-29\n", " 2026-03-29", "2026-03-29T10:00 02:00", "\ud800"]
)
def test_what_is_not_a_time_is_refused(text: str) -> None:
    """Only the documented forms are read, not all that the standard library takes."""
    assert " give a d" in refusal(text, "UTC")


FAR_TIMES = [
    *("0001-01-01", "0001-12-31", "9999-01-01", "9999-12-31T23:45", "0001-01-01T00:00+14:00"),
    *("9999-12-31T23:45-23:59", "0002-01-01T00:00+01:00", "9998-12-31T23:45-01:00"),
]


@pytest.mark.parametrize("name", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("text", FAR_TIMES)
def test_the_ends_of_time_are_refused(text: str, name: str) -> None:
    """Instants outside the years 2 to 9998 of UTC are an error, never an overflow."""
    assert "from 0002 to 9998" in refusal(text, name)


def test_an_error_survives_pickling() -> None:
    """Errors cross process boundaries with all their fields."""
    error = pickle.loads(pickle.dumps(CalendarError("from", "x", "is wrong: give y")))  # noqa: S301 - made here
    assert (error.option, error.value, error.cause) == ("from", "x", "is wrong: give y")
    assert str(error) == "from 'x' is wrong: give y."


@pytest.mark.parametrize("name", ["UTC", "Asia/Calcutta", "America/Argentina/Ushuaia"])
def test_a_zone_is_known_by_its_name(name: str) -> None:
    """Names of the IANA database, including links, give their zone."""
    assert zone(name).key == name


NO_ZONES = [
    *(".", "..", "../..", "/etc/localtime", "Europe", "Europe/", "Europe/../UTC", "Europe//Berlin"),
    *("localtime", "posixrules", "right/UTC", "posix/UTC", "zone.tab", "tzdata.zi", "+02:00"),
    *("europe/berlin", "EUROPE/BERLIN", "utc"),
]


@pytest.mark.parametrize("name", [*NO_ZONES, "", "UTC ", "a\0b", "\ud800", "x" * 9999])
def test_what_is_not_a_zone_is_refused(name: str) -> None:
    """Neither paths nor other files of the database nor another case pass for a zone."""
    with pytest.raises(CalendarError, match="give an IANA name such as") as caught:
        zone(name)
    assert (caught.value.option, caught.value.value) == ("zone", name)


def test_a_misspelt_zone_is_answered_with_a_near_one() -> None:
    """The refusal proposes a name that exists."""
    with pytest.raises(CalendarError, match="such as Europe/Berlin or UTC"):
        zone("europe/berlin")


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 2 <= moment.year <= 9998))
def test_a_slot_holds_the_quarter_of_an_hour_that_it_begins(moment: datetime) -> None:
    """Slots are rounded down, before 1970 as well."""
    assert at_slot(slot(moment)) <= moment < at_slot(slot(moment) + 1)
    assert at_slot(slot(moment) + 1) - at_slot(slot(moment)) == timedelta(seconds=SLOT_SECONDS)
    assert (slot(datetime(1970, 1, 1, tzinfo=UTC)), slot(datetime(1969, 12, 31, 23, 59, tzinfo=UTC))) == (
        0,
        -1,
    )


@pytest.mark.parametrize(
    ("label", "name", "hours"),
    [
        ("2026-03-29T00:00:00+01:00", "Europe/Berlin", 23),
        ("2026-10-25T00:00:00+02:00", "Europe/Berlin", 25),
        ("2026-03-08T00:00:00-05:00", "America/New_York", 23),
        ("2026-11-01T00:00:00-04:00", "America/New_York", 25),
        ("2018-11-04T01:00:00-02:00", "America/Sao_Paulo", 23),
        ("2026-04-05T00:00:00+11:00", "Australia/Lord_Howe", 24.5),
        ("2026-03-29T00:00:00+00:00", "UTC", 24),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(label: str, name: str, hours: float) -> None:
    """Days have 23 to 25 hours when the clocks shift, and their label is their first instant."""
    day = date.fromisoformat(label[:10])
    assert rows(str(day), str(day + timedelta(days=1)), name, DAY) == [(label, hours)]


def test_hours_follow_the_wall_clock_and_its_offset() -> None:
    """The repeated hour of autumn is two; a shift within an hour cuts it; the end cuts the last one."""
    assert rows("2026-03-29T01:00", "2026-03-29T04:00", "Europe/Berlin", HOUR) == [
        ("2026-03-29T01:00:00+01:00", 1),
        ("2026-03-29T03:00:00+02:00", 1),
    ]
    assert rows("2026-10-25T02:00", "2026-10-25T03:00", "Europe/Berlin", HOUR) == [
        ("2026-10-25T02:00:00+02:00", 1),
        ("2026-10-25T02:00:00+01:00", 1),
    ]
    assert rows("2026-11-01T01:00", "2026-11-01T02:00", "America/New_York", HOUR) == [
        ("2026-11-01T01:00:00-04:00", 1),
        ("2026-11-01T01:00:00-05:00", 1),
    ]
    assert rows("2026-04-05T01:00", "2026-04-05T02:30", "Australia/Lord_Howe", HOUR) == [
        ("2026-04-05T01:00:00+11:00", 1),
        ("2026-04-05T01:30:00+10:30", 0.5),
        ("2026-04-05T02:00:00+10:30", 0.5),
    ]
    assert rows("2026-10-04T01:00", "2026-10-04T04:00", "Australia/Lord_Howe", HOUR) == [
        ("2026-10-04T01:00:00+10:30", 1),
        ("2026-10-04T02:30:00+11:00", 0.5),
        ("2026-10-04T03:00:00+11:00", 1),
    ]
    for name, offset in (("Asia/Kathmandu", "+05:45"), ("Asia/Kolkata", "+05:30")):
        assert rows("2026-03-29T00:30", "2026-03-29T01:15", name, HOUR) == [
            ("2026-03-29T00:00:00" + offset, 0.5),
            ("2026-03-29T01:00:00" + offset, 0.25),
        ]


def test_a_bucket_cut_by_from_keeps_its_full_label() -> None:
    """Asking from the middle of a unit changes its length, not its label, even if it began before a shift."""
    asked = ("2026-03-29T12:15", "2026-03-29T12:30", "Europe/Berlin")
    assert rows(*asked, HOUR) == [("2026-03-29T12:00:00+02:00", 0.25)]
    assert rows(*asked, DAY) == [("2026-03-29T00:00:00+01:00", 0.25)]
    assert rows(*asked, WEEK) == [("2026-03-23T00:00:00+01:00", 0.25)]
    assert rows(*asked, MONTH) == [("2026-03-01T00:00:00+01:00", 0.25)]
    assert rows(*asked, TOTAL) == [(None, 0.25)]


def test_weeks_start_on_monday() -> None:
    """The weeks about a shift of the clocks are an hour shorter or longer and still begin on Monday."""
    assert rows("2026-03-22", "2026-03-31", "Europe/Berlin", WEEK) == [
        ("2026-03-16T00:00:00+01:00", 24),
        ("2026-03-23T00:00:00+01:00", 7 * 24 - 1),
        ("2026-03-30T00:00:00+02:00", 24),
    ]
    assert rows("2026-10-26", "2026-11-09", "America/New_York", WEEK) == [
        ("2026-10-26T00:00:00-04:00", 7 * 24 + 1),
        ("2026-11-02T00:00:00-05:00", 7 * 24),
    ]


def test_two_shifts_close_to_each_other_are_both_seen() -> None:
    """Morocco goes back an hour for Ramadan and forth again; Boa Vista had summer time for a week in 2000."""
    assert rows("2026-02-01", "2026-04-01", "Africa/Casablanca", MONTH) == [
        ("2026-02-01T00:00:00+01:00", 28 * 24 + 1),
        ("2026-03-01T00:00:00+00:00", 31 * 24 - 1),
    ]
    assert rows("2000-10-01", "2000-11-01", "America/Boa_Vista", MONTH) == [
        ("2000-10-01T00:00:00-04:00", 31 * 24)
    ]
    days = rows("2000-10-08", "2000-10-16", "America/Boa_Vista", DAY)
    assert [length for _, length in days] == [23, *[24] * 5, 25, 24]


def test_a_skipped_day_has_no_bucket() -> None:
    """Apia went from 29 to 31 December 2011."""
    assert rows("2011-12-29", "2012-01-01", "Pacific/Apia", DAY) == [
        ("2011-12-29T00:00:00-10:00", 24),
        ("2011-12-31T00:00:00+14:00", 24),
    ]


def test_a_label_comes_back_where_clocks_went_back_over_midnight() -> None:
    """St John's went from 2009-11-01 00:01 back to 23:01: October outlasted November's first slot."""
    assert rows("2009-10-31", "2009-11-02", "America/St_Johns", DAY) == [
        ("2009-10-31T00:00:00-02:30", 24),
        ("2009-11-01T00:00:00-02:30", 0.25),
        ("2009-10-31T00:00:00-02:30", 0.75),
        ("2009-11-01T00:00:00-02:30", 24),
    ]
    assert rows("2009-11-01", "2009-12-01", "America/St_Johns", MONTH) == [
        ("2009-11-01T00:00:00-02:30", 0.25),
        ("2009-10-01T00:00:00-02:30", 0.75),
        ("2009-11-01T00:00:00-02:30", 30 * 24),
    ]


def test_an_empty_interval_has_no_bucket() -> None:
    """Nothing lies between a slot and itself."""
    assert [list(buckets(9, end, zone("UTC"), by)) for by in Granularity for end in (9, 8)] == [[]] * 10


@pytest.mark.parametrize("by", Granularity)
@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin"])
def test_buckets_reach_the_ends_of_the_range(name: str, by: Granularity) -> None:
    """The first and the last days that can be asked for are cut like any other."""
    first, last = (
        instant("0002-01-01T00:00Z", zone(name), "from"),
        instant("9998-12-31T23:45Z", zone(name), "to"),
    )
    for start, end in ((slot(first), slot(first) + 9), (slot(last) - 9, slot(last))):
        cut = list(buckets(start, end, zone(name), by))
        assert (cut[0].first, cut[-1].end) == (start, end)
