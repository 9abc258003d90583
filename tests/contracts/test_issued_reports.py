"""Reports are recorded as issued, replayed and explained alike, in memory and on PostgreSQL."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest

from offerlog import Cohort, CountBy, Granularity, MetricSet, Offerlog, ReportQuery, State, open_offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.positions import only_position
from offerlog_application.reading.canonical_reports import query_text, read_query, report_text
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, journeys
from support.recount import rows

QUERY = ReportQuery("default", by=Granularity.HOUR, zone=ZoneInfo("Asia/Kathmandu"), view=MetricSet.FULL)


@pytest.fixture
def clock() -> SettableClock:
    """The clock of both services."""
    return SettableClock(DAY + timedelta(days=1))


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], clock: SettableClock
) -> Iterator[Offerlog]:
    """A service of either kind, with journeys of every kind."""
    with open_either(request.param, make_dsn, clock) as one:
        one.record(journeys(40))
        one.record(journeys(5), organization="other")
        one.catch_up()
        yield one


def test_an_issued_report_is_replayed_to_the_same_digest(service: Offerlog, clock: SettableClock) -> None:
    """However much is recorded after it, as of its position or of its time; others' reports are not shown."""
    # given a report of actions and one of visitors, then more events on the same maps
    queries = [QUERY, replace(QUERY, count_by=CountBy.VISITORS, cohort=Cohort.OFFERED)]
    issued = []
    for query in queries:
        issued.append(service.issued_reports.issue(query, "an analyst")[1])
        service.catch_up()  # so that the next one is as of another position
    service.issued_reports.issue(ReportQuery("other"), "somebody else")
    then = clock.now()
    clock.advance(timedelta(minutes=1))
    service.record(journeys(90)[100:])
    service.catch_up()
    late, late_report = service.issued_reports.issue(QUERY)
    # when
    by_position = service.issued_reports.replay("default", issued[0].as_of_position)
    by_time = service.issued_reports.replay("default", then)
    # then
    (compared,) = by_position.reports
    assert (compared.issued, compared.is_equal) == (issued[0], True)
    assert compared.digest != sha256(report_text(late)).digest()
    assert {proof.events for proof in by_position.proofs} == {by_position.position}
    assert [one.projection for one in by_position.proofs] == ["current_state", "performance", "suppression"]
    assert only_position(by_time.position) >= only_position(by_position.position)
    assert [one.issued_by for one in service.issued_reports.all("default")] == ["an analyst"] * 2 + [""]
    for after in (issued[0].position, issued[0].position + 1, late_report.position):
        behind = [one.position for one in service.issued_reports.all("default", after)]
        assert behind == [one.position for one in (*issued, late_report) if one.position > after]
    again = service.issued_reports.replay("default", issued[1].as_of_position)
    assert [(one.issued, one.is_equal) for one in again.reports] == [(issued[1], True)]


def test_every_number_of_a_report_is_explained_by_as_many_events(service: Offerlog) -> None:
    """Of each map, metric and way to place events in time; as of an earlier position too."""
    # given
    first = service.position()
    service.record(journeys(90)[100:])
    service.catch_up()
    start, end = DAY + timedelta(minutes=15), DAY + timedelta(minutes=45)
    for cohort in Cohort:
        for n in range(3):
            query = replace(
                QUERY,
                start=start,
                end=end,
                action_maps=(an_id("map", n),),
                cohort=cohort,
                by=Granularity.TOTAL,
            )
            for state in QUERY.view.states:
                # when
                explained = service.issued_reports.explain(query, state)
                events = list(explained.events)
                # then
                assert explained.count == len(events)
                assert {one.state.value for one in events} <= {state.value}
                assert [one.position for one in events] == sorted(one.position for one in events)
    query = replace(QUERY, action_maps=(an_id("map", 0),))
    now = list(service.issued_reports.explain(query, State.OFFERED).events)
    before = service.issued_reports.explain(query, State.OFFERED, first)
    assert before.count is None
    assert list(before.events) == [one for one in now if one.position <= first]
    assert 0 < len([one for one in now if one.position <= first]) < len(now)


def test_a_query_is_read_as_it_was_written() -> None:
    """Every parameter of a report, in the text that the log keeps."""
    query = replace(
        QUERY, start=DAY, end=DAY + timedelta(days=1), action_maps=(an_id("map"),), cohort=Cohort.OFFERED
    )
    assert read_query(query_text(query), "default") == query
    assert read_query(query_text(QUERY), "default") == QUERY


def test_a_number_that_was_changed_in_the_store_is_found(make_dsn: Callable[[], str]) -> None:
    """By the explanation, whose events do not add up to it; the issued report keeps the wrong digest."""
    # given a store whose counts somebody has changed, and a report of them
    dsn = make_dsn()
    with open_offerlog(database_url=dsn, organization="default", keep_deadlines=False) as service:
        service.record(journeys(40))
        service.catch_up()
        rows(dsn, "UPDATE performance_counts SET offered = offered + 1 WHERE cohort = 'event'")
        query = replace(QUERY, action_maps=(an_id("map", 0),))
        _, issued = service.issued_reports.issue(query)
        # when
        replayed = service.issued_reports.replay("default", issued.as_of_position)
        explained = service.issued_reports.explain(query, State.OFFERED)
        # then
        assert [one.is_equal for one in replayed.reports] == [False]
        assert len(list(explained.events)) < (explained.count or 0)
        schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'offerlog_replay%'"
        assert rows(dsn, schemas) == []
