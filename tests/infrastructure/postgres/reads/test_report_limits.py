"""A report stays within its buckets, rows and time, whatever dates and maps were sent."""

import time
import uuid
from zoneinfo import ZoneInfo

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.performance_report import UNLIMITED, ReportLimits, ReportTooLargeError
from offerlog_application.reading.read_budget import ReadBudget, ReadCancelledError, ReadTimeoutError
from offerlog_domain.metrics import CountBy, Granularity
from offerlog_infrastructure.postgres.reads import performance
from support.old_dates import OLD_DAYS, count_old_days
from support.recount import rows

MAP = str(uuid.UUID(int=1))

# One offer a day for each of many maps.
COUNT_MAPS = """
    INSERT INTO performance_days
    SELECT 'default', ('00000000-0000-4000-8000-' || lpad(map::text, 12, '0'))::uuid, 'event', 20000 + day,
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'webchat'
    FROM generate_series(1, %s) AS map, generate_series(1, %s) AS day
"""
COUNT_SLOTS_OF_MAPS = COUNT_MAPS.replace("performance_days", "performance_counts").replace(
    "20000 + day", "(20000 + day) * 96"
)


@pytest.fixture
def old_dates(offerlog: Offerlog, dsn: str) -> Offerlog:
    """A service whose log holds offers of twenty centuries."""
    count_old_days(dsn, MAP)
    return offerlog


@pytest.mark.parametrize("by", [Granularity.HOUR, Granularity.DAY, Granularity.WEEK, Granularity.MONTH])
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_dates_of_twenty_centuries_make_buckets_only_where_something_was_counted(
    old_dates: Offerlog, by: Granularity, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every offer is counted, and the buckets that were made are those of the occupied days."""
    made: list[int] = []
    cut = performance.split_into_days_and_slots

    def counted(first: int, end: int, stretches: list[tuple[int, int]]) -> object:
        made.append(len(stretches))
        return cut(first, end, stretches)

    monkeypatch.setattr(performance, "split_into_days_and_slots", counted)
    report = old_dates.report(ReportQuery("default", by=by, zone=ZoneInfo(zone)))
    assert sum(row.metrics["nWebActionsOffered"] for row in report.rows) == OLD_DAYS
    assert len({row.bucket for row in report.rows}) == OLD_DAYS
    per_day = 25 if by is Granularity.HOUR else 2
    assert made[0] <= OLD_DAYS * per_day


def test_too_many_buckets_are_refused_before_any_is_counted(
    old_dates: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the parameter, the limit and what to choose instead; without limits it goes."""
    query = ReportQuery("default", by=Granularity.HOUR)
    monkeypatch.setattr(old_dates._performance, "counts", None)
    with pytest.raises(ReportTooLargeError) as caught:
        old_dates.report(query, ReportLimits(buckets=1_000))
    monkeypatch.undo()
    assert caught.value.field == "by"
    assert "by hour gives more than 1,000 buckets" in caught.value.cause
    assert "choose a coarser `by` (total, day, week, month)" in caught.value.cause
    assert len(old_dates.report(query, UNLIMITED).rows) == OLD_DAYS


@pytest.mark.parametrize("count_by", list(CountBy))
def test_too_many_rows_are_refused(offerlog: Offerlog, dsn: str, count_by: CountBy) -> None:
    """Maps times buckets: exactly as many as are allowed are answered, one more is not."""
    rows(dsn, COUNT_MAPS, 60, 10)
    rows(dsn, COUNT_SLOTS_OF_MAPS, 60, 10)
    query = ReportQuery("default", by=Granularity.DAY, count_by=count_by)
    assert len(offerlog.report(query, ReportLimits(rows=600)).rows) == 600
    with pytest.raises(ReportTooLargeError, match="more than 599 rows"):
        offerlog.report(query, ReportLimits(rows=599))
    total = ReportQuery("default", count_by=count_by)
    with pytest.raises(ReportTooLargeError) as caught:
        offerlog.report(total, ReportLimits(rows=59))
    assert caught.value.field == "action_map"


def test_a_report_that_takes_too_long_is_ended_in_the_store(
    offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its own time, not that of a statement in general."""
    monkeypatch.setattr(
        performance, "_SELECT_SLOTS", performance._SELECT_SLOTS.replace("SELECT", "SELECT pg_sleep(20),", 1)
    )
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError, match=r"after 0\.3 s"):
        offerlog.report(ReportQuery("default"), ReportLimits(seconds=0.3))
    assert time.monotonic() - began < 10


def test_a_report_that_takes_too_long_in_python_is_ended_too(
    old_dates: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its steps it looks at the time."""
    counts = old_dates._performance.counts

    def slow(*asked: object) -> object:
        found = counts(*asked)  # type: ignore[arg-type] # passed on as it came
        time.sleep(0.5)
        return found

    monkeypatch.setattr(old_dates._performance, "counts", slow)
    with pytest.raises(ReadTimeoutError):
        old_dates.report(ReportQuery("default", by=Granularity.DAY), ReportLimits(seconds=0.4))


def test_a_read_called_off_before_it_began_asks_the_store_nothing(offerlog: Offerlog) -> None:
    """As one whose client left while it waited for a thread."""
    budget = ReadBudget(None)
    budget.cancel()
    with pytest.raises(ReadCancelledError), budget.active():
        offerlog.report(ReportQuery("default"))


def test_names_from_older_stores_are_cut(offerlog: Offerlog, dsn: str) -> None:
    """A report does not grow with names of 64 KiB, and a cut character does no harm."""
    rows(dsn, COUNT_MAPS, 1, 1)
    rows(dsn, COUNT_SLOTS_OF_MAPS, 1, 1)
    with psycopg.connect(dsn, options="-c search_path=offerlog", autocommit=True) as connection:
        connection.execute(
            "INSERT INTO action_map_names VALUES ('default', %s, %s, now(), 1)",
            ("00000000-0000-4000-8000-000000000001", ("x" + "€" * 20_000).encode()),
        )
    (row,) = offerlog.report(ReportQuery("default")).rows
    assert row.action_map_name == "x" + "€" * 255


def test_the_list_of_action_maps_goes_on_where_a_page_ended(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many days were counted of each."""
    rows(dsn, COUNT_MAPS, 25, 7)
    monkeypatch.setattr(performance, "_MAPS_AT_ONCE", 4)
    found = [one for one, _ in offerlog.action_maps()]
    assert len(found) == 25
    assert found == sorted(set(found))
    assert [one for one, _ in offerlog.action_maps(behind=found[9])] == found[10:]
    assert list(offerlog.action_maps(organization="another")) == []
