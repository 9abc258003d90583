"""Reports read whole days where they can: never with another answer than quarter-hours give."""

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.performance_report import ReportRow
from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet
from offerlog_infrastructure.postgres.reads import performance
from support.old_dates import record_with_any_date
from support.recount import rows

MAPS = [str(uuid.UUID(int=n)) for n in (1, 2, 3)]
START = datetime(2026, 2, 20, tzinfo=UTC)
DAYS = 50


def offers(count: int, seed: int) -> list[bytes]:
    """Offers and rejections on any quarter-hour, and at both edges of days."""
    chance = random.Random(seed)  # noqa: S311 - chance in a test
    documents = []
    for n in range(count):
        of_day = chance.choice([0, 1425, 15 * chance.randrange(96)])
        moment = START + timedelta(days=chance.randrange(DAYS), minutes=of_day)
        pair = {
            "actionId": str(uuid.uuid4()),
            "actionMapId": chance.choice(MAPS),
            "customerId": f"visitor {n // 2}",
            "sessionId": str(uuid.uuid4()),
        }
        documents.append(pair | {"actionState": "offered", "createdDate": moment.isoformat()})
        later = moment + timedelta(days=chance.choice([0, 0, 3]), minutes=7)
        documents.append(pair | {"actionState": "errored", "createdDate": later.isoformat()})
    return [json.dumps(one).encode() for one in documents]


def questions(seed: int, organization: str) -> list[ReportQuery]:
    """Every granularity, zone, cohort and way to count, over any intervals."""
    chance = random.Random(seed)  # noqa: S311 - chance in a test

    def instant() -> datetime:
        return START + timedelta(minutes=15 * chance.randrange(-96, DAYS * 96))

    asked = []
    for by in Granularity:
        for zone in ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Pacific/Kiritimati"):
            start, end = sorted([instant(), instant()])
            asked.append(
                ReportQuery(
                    organization,
                    start=start,
                    end=end,
                    zone=ZoneInfo(zone),
                    by=by,
                    action_maps=tuple(chance.sample(MAPS, chance.randrange(3))),
                    view=MetricSet.FULL,
                    cohort=chance.choice(list(Cohort)),
                    count_by=chance.choice(list(CountBy)),
                )
            )
        asked.append(ReportQuery(organization, by=by, view=MetricSet.FULL))
    return asked


def test_days_and_quarter_hours_tell_the_same(offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows, whatever is asked; and no event is left out of all time."""
    position = offerlog.record(offers(600, seed=1)).position
    offerlog.wait(position)
    asked = questions(2, offerlog.organization)

    def answers() -> list[tuple[ReportRow, ...]]:
        return [tuple(offerlog.report(one).rows) for one in asked]

    by_days = answers()
    monkeypatch.setattr(performance, "_FEWEST_DAYS", 10**9)
    assert by_days == answers()
    (whole,) = {
        sum(sum(row.metrics.values()) for row in found)
        for one, found in zip(asked, by_days, strict=True)
        if one.start is None
    }
    assert whole == offerlog.proof().events


def test_days_are_the_sums_of_their_quarter_hours(offerlog: Offerlog, dsn: str) -> None:
    """By media type and version of the map; before 1970 too."""
    old = json.loads(offers(1, seed=3)[0]) | {"createdDate": "1969-12-31T12:00:00Z", "customerId": "old"}
    offerlog.record(offers(50, seed=3))
    offerlog.wait(record_with_any_date(offerlog, [old]))
    by_day = """
        SELECT organization, action_map_id, cohort, {}, media_type, action_map_version, sum(offered),
            sum(accepted), sum(ignored), sum(timedout), sum(engaged)
        FROM {} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
    """
    kept = rows(dsn, by_day.format("day", "performance_days"))
    assert any(row[3] == -1 for row in kept)
    assert rows(dsn, by_day.format("floor(slot / 96.0)", "performance_counts")) == kept
    assert [(len(kept),)] == rows(dsn, "SELECT count(*) FROM performance_days")
