"""The lists of the read side over several pages, and what becomes of them when the service goes."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.organizations import OrganizationNameError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.metrics import Granularity
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.reads import lists as queries
from offerlog_infrastructure.postgres.reads import performance, progress
from offerlog_infrastructure.postgres.refusals import refusal_log
from offerlog_infrastructure.testing.clock import SettableClock
from support.old_dates import record_with_any_date
from support.recount import rows, until

MAP = str(uuid.uuid4())


def signal(state: str, customer: str, action: str | None = None) -> bytes:
    """A signal of a new action unless one is named."""
    fields = {"actionId": action or str(uuid.uuid4()), "actionState": state, "actionMapId": MAP}
    return json.dumps({**fields, "customerId": customer, "sessionId": str(uuid.uuid4())}).encode()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_PAGE", 3)
    monkeypatch.setattr(queries, "_PARKED_PAGE", 3)
    monkeypatch.setattr(refusal_log, "_PAGE", 3)


@pytest.mark.parametrize("count", [0, 2, 3, 7])
def test_a_list_of_any_length_is_whole(offerlog: Offerlog, count: int) -> None:
    """No row is left out or told twice where one page ends and the next begins."""
    customers = [f"visitor {n}" for n in range(count)]
    turned_down = []
    for customer in customers:
        action = str(uuid.uuid4())
        turned_down += [signal("offered", customer, action), signal("rejected", customer, action)]
    parked = [signal("accepted", customer) for customer in customers]
    broken = [f"no signal {n}".encode() for n in range(count)]
    offerlog.wait(offerlog.record(turned_down).position)
    offerlog.wait(offerlog.record([*parked, *broken]).position)
    assert sorted(one.customer_id for one in offerlog.suppressed_visitors(MAP)) == customers
    refused = [one.raw for one in offerlog.refusals()]
    kept = [one.raw for one in offerlog.parked()]
    assert sorted([*refused, *kept]) == sorted([*parked, *broken])
    assert [raw for raw in refused if raw in broken] == broken


def test_a_slow_reader_holds_nothing(offerlog: Offerlog, dsn: str) -> None:
    """Between two rows there is neither a transaction for the server to end nor a connection in use."""
    offerlog.record([b"no signal"] * 10)
    refusals = offerlog.refusals()
    next(refusals)
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%%'"
    )
    assert rows(dsn, busy) == [(0,)]
    assert len(list(refusals)) == 9


def test_a_closed_service_says_so(dsn: str) -> None:
    """Whether or not it has ever worked for that organization."""
    with open_offerlog(database_url=dsn) as offerlog:
        offerlog.record([b"no signal"])
    for call in (
        lambda: offerlog.record([b"no signal"]),
        lambda: offerlog.record([b"no signal"], organization="unseen"),
        lambda: offerlog.suppressions("visitor"),
        lambda: offerlog.eligibility(customer_id="visitor", action_map_id=MAP),
        offerlog.position,
        offerlog.catch_up,
    ):
        with pytest.raises(ClosedError, match="closed"):
            call()


@pytest.mark.parametrize("by", list(Granularity))
def test_a_clock_from_another_age_breaks_no_report(offerlog: Offerlog, by: Granularity) -> None:
    """The year 1 and today in one report, in a zone on either side of UTC; older logs hold such events."""
    ages = ["0001-01-01T00:00:00Z", "1869-05-10T19:47:00Z", "2026-11-20T10:00:00Z"]
    lines = [
        {**json.loads(signal("offered", f"visitor {n}")), "createdDate": at} for n, at in enumerate(ages)
    ]
    offerlog.wait(record_with_any_date(offerlog, lines))
    for zone in ("America/Los_Angeles", "UTC", "Pacific/Kiritimati"):
        rows_ = offerlog.report(ReportQuery(offerlog.organization, zone=ZoneInfo(zone), by=by)).rows
        assert sum(row.metrics["nWebActionsOffered"] for row in rows_) == 3
        assert len(rows_) == (1 if by is Granularity.TOTAL else 3)


def test_no_organization_is_not_the_default_one(offerlog: Offerlog) -> None:
    """An empty name, as a missing header gives it, is refused."""
    with pytest.raises(OrganizationNameError):
        offerlog.record([b"no signal"], organization="")
    assert list(offerlog.refusals()) == []


def test_an_object_that_is_no_json_is_malformed_by_itself(offerlog: Offerlog) -> None:
    """The other signals of the call are judged."""
    loop: dict[str, object] = {}
    loop["loop"] = loop
    good = json.loads(signal("offered", "visitor"))
    receipt = offerlog.record([{1: {2: 3}, (4, 5): 6}, loop, good, {**good, "errorMessage": "x" * 70_000}])  # type: ignore[dict-item] # wrong on purpose
    assert [one.reason for one in receipt.outcomes] == [
        Reason.MALFORMED, Reason.MALFORMED, None, Reason.MALFORMED,
    ]  # fmt: skip


def test_of_very_many_that_are_due_the_oldest_come_first(dsn: str) -> None:
    """One look at deadlines reads no more of them than it takes on."""
    clock = SettableClock(datetime(2026, 11, 22, 10, 0, tzinfo=UTC))
    with open_offerlog(database_url=dsn, keep_deadlines=False, clock=clock) as offerlog:
        customers = [f"visitor {n}" for n in range(30)]
        for customer in customers:
            offered = json.loads(signal("offered", customer)) | {"timeoutSeconds": 30}
            position = offerlog.record([offered]).position
            clock.advance(timedelta(seconds=1))
        offerlog.wait(position)
        all_of_them = clock.now() + timedelta(hours=1)
        found = offerlog._reads.due(deadline_before=all_of_them, parked_before=all_of_them, limit=5)
        oldest = [
            offerlog._service.name("default", VisitorKey("cookie", customer), ActionMapId(MAP))
            for customer in customers[:5]
        ]
        assert {offer.id for offer in found} == {offer.id for offer in oldest}


def test_slow_readers_keep_no_writer_waiting(offerlog: Offerlog) -> None:
    """As many reports at a time as anyone likes: what is recorded meanwhile is durable at once."""
    slow = performance._SELECT_SLOTS.replace("SELECT", "SELECT pg_sleep(0.5),", 1)
    offerlog.record([signal("offered", "before")])
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(40) as pool:
        patch.setattr(performance, "_SELECT_SLOTS", slow)
        reports = [pool.submit(offerlog.report, ReportQuery(offerlog.organization)) for _ in range(40)]
        until(lambda: sum(report.running() for report in reports) == 40)
        began = time.monotonic()
        offerlog.record([signal("offered", "meanwhile")])
        took = time.monotonic() - began
        assert not all(report.done() for report in reports)
        assert [report.exception(60) for report in reports] == [None] * 40
    assert took < 0.5


def test_a_lag_is_counted_up_to_a_bound_and_estimated_beyond(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By positions, one of which holds no event here."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        service.record([signal("offered", f"visitor {n}") for n in range(5)])
        rows(dsn, "DELETE FROM offerlog_events WHERE notification_id = 3")
        assert {one.lag_events for one in service.projections()} == {4}
        few = progress._SELECT_STATUS.replace(f"LIMIT {progress.MAX_COUNTED + 1}", "LIMIT 3")
        monkeypatch.setattr(progress, "_SELECT_STATUS", few)
        monkeypatch.setattr(progress, "MAX_COUNTED", 2)
        assert {one.lag_events for one in service.projections()} == {5}
