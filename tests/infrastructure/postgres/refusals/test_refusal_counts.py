"""Refusals are counted by reason, exactly, by however many writers and whatever becomes of the log."""

import json
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.refusals.counts import PostgresRefusalCounter
from offerlog_infrastructure.testing.clock import SettableClock
from support.internals import application_of
from support.recount import rows

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def refused_signals(customer: str) -> list[bytes]:
    """Signals that are refused for four reasons."""
    fields = {
        "actionId": str(uuid.uuid4()),
        "actionMapId": str(uuid.UUID(int=1)),
        "sessionId": str(uuid.uuid4()),
        "customerId": customer,
    }
    lines = [
        fields | {"actionState": "completed"},
        fields | {"actionState": "offered", "createdDate": "2999-01-01T00:00:00Z"},
        fields | {"actionState": "offered"},
        fields | {"actionState": "rejected"},
        fields | {"actionState": "engaged"},
    ]
    return [b"no signal", b"nor this", *(json.dumps(line).encode() for line in lines)]


def test_counts_of_two_writers_equal_a_count_by_hand(dsn: str) -> None:
    """Two writers refuse at once while a third thread folds and reads: never one too many or too few."""
    clock = SettableClock(NOON)
    over = threading.Event()
    seen: list[int] = []

    def write(service: Offerlog, writer: int) -> Counter[Reason | None]:
        counts_told: Counter[Reason | None] = Counter()
        for turn in range(30):
            clock.advance(timedelta(minutes=1))
            receipt = service.record(refused_signals(f"visitor {writer} {turn}"))
            counts_told.update(one.reason for one in receipt.outcomes if one.reason)
        return counts_told

    def fold(counter: PostgresRefusalCounter) -> None:
        while not over.is_set():
            counter.fold(3)
            seen.append(sum(counter.counts("default", None, None).counts.values()))

    with (
        open_offerlog(database_url=dsn, keep_deadlines=False, clock=clock) as one,
        open_offerlog(database_url=dsn, keep_deadlines=False, clock=clock) as other,
        ThreadPoolExecutor(3) as pool,
    ):
        folding = pool.submit(fold, PostgresRefusalCounter(application_of(one)))
        written = [pool.submit(write, service, n) for n, service in enumerate([one, other])]
        try:
            counts_told = written[0].result(60) + written[1].result(60)
        finally:
            over.set()
        folding.result(60)
        by_hand = Counter({Reason(reason): count for reason, count in rows(
            dsn, "SELECT reason, count(*) FROM refusals GROUP BY 1"
        )})  # fmt: skip
        found = one.refusal_counts()
        assert Counter(found.counts) == counts_told == by_hand
        assert list(found.counts.values()) == sorted(found.counts.values(), reverse=True)
        assert seen == sorted(seen)
        while PostgresRefusalCounter(application_of(one)).fold(7):
            pass
        assert rows(dsn, "SELECT count(*) FROM refusal_tallies") == [(0,)]
        assert Counter(one.refusal_counts().counts) == by_hand
        assert Counter(other.refusal_counts().counts) == by_hand


def test_counts_are_of_whole_quarter_hours_and_of_one_organization(dsn: str) -> None:
    """The answer says which: a bound inside a quarter-hour takes in all of it."""
    clock = SettableClock(NOON)
    with open_offerlog(database_url=dsn, keep_deadlines=False, clock=clock) as service:
        for minutes, count in ((0, 1), (14, 2), (15, 4), (30, 8)):
            clock.set(NOON + timedelta(minutes=minutes))
            service.record([b"no signal"] * count)
        service.record([b"no signal"] * 16, organization="another")
        found = service.refusal_counts(since=NOON + timedelta(minutes=16), until=NOON + timedelta(minutes=29))
        assert (found.since, found.until) == (NOON + timedelta(minutes=15), NOON + timedelta(minutes=30))
        assert found.counts == {Reason.MALFORMED: 4}
        assert service.refusal_counts(until=NOON + timedelta(minutes=15)).counts == {Reason.MALFORMED: 3}
        assert service.refusal_counts(since=NOON + timedelta(hours=1)).counts == {}
        assert service.refusal_counts(organization="another").counts == {Reason.MALFORMED: 16}


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_time_are_times_too(offerlog: Offerlog, at: datetime) -> None:
    """Neither rounds to a time that no calendar has."""
    offerlog.record([b"no signal"])
    since, until = offerlog.refusal_counts(since=at), offerlog.refusal_counts(until=at)
    assert sum(since.counts.values()) + sum(until.counts.values()) == 1


def test_a_store_with_refusals_counts_them_after_its_upgrade(offerlog: Offerlog, dsn: str) -> None:
    """What was refused before anything was counted is in the counts as well."""
    offerlog.record([b"no signal"] * 5)
    rows(dsn, "DROP TABLE refusal_counts; DROP TABLE refusal_tallies; DROP INDEX refusals_by_reason")
    rows(dsn, "ALTER TABLE refusals RENAME COLUMN sealed_text TO raw; DROP TABLE refusals_in_clear")
    rows(dsn, "DELETE FROM migrations WHERE number IN (8, 11)")  # 11 changes what 8 reads
    with open_offerlog(database_url=dsn, keep_deadlines=False) as upgraded:
        assert upgraded.refusal_counts().counts == {Reason.MALFORMED: 5}
        upgraded.record([b"no signal"])
        assert upgraded.refusal_counts().counts == {Reason.MALFORMED: 6}
