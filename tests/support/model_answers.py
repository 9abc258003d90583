"""The service's answers as its model writes them, and its projections beside those of the model."""

import time
from datetime import datetime
from itertools import product

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.recording.batches import Receipt
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy, Granularity, MetricSet
from offerlog_domain.outcomes import Blocker
from support.model import Model
from support.model_signals import MAPS, VISITORS


def outcomes_of(receipt: Receipt) -> list[str]:
    """Outcomes as the model writes them."""
    return [f"{one.kind}: {one.reason}" if one.reason else str(one.kind) for one in receipt.outcomes]


def against(blocker: Blocker | None) -> tuple[str, str, str, datetime] | None:
    """A blocker as the model writes it."""
    return None if blocker is None else (blocker.reason, blocker.state, blocker.action_id, blocker.since)


def compare_projections(service: Offerlog, organization: str, model: Model) -> None:
    """Suppressions, what waits, refusals and reports are those of the model."""
    while any(status.lag_events for status in service.projections()):
        time.sleep(0.002)
    for visitor in VISITORS:
        rows = service.suppressions(*visitor, organization=organization)
        assert [(*visitor, r.action_map_id, r.state, r.action_id, r.since) for r in rows] == [
            row for row in model.suppressions() if row[:2] == visitor
        ]
    for action_map in MAPS:
        who = service.suppressed_visitors(action_map, organization=organization)
        assert sorted((r.customer_id, r.customer_id_type, r.state, r.action_id, r.since) for r in who) == [
            (*row[:2], *row[3:]) for row in model.suppressions() if row[2] == action_map
        ]
    waiting = [one["raw"] for offer in model.offers.values() for one in offer["parked"]]
    assert sorted(one.raw for one in service.parked(organization=organization)) == sorted(waiting)
    refusals = [(one.reason, one.raw) for one in service.refusals(organization=organization)]
    assert sorted(refusals, key=repr) == sorted(model.refusals, key=repr)
    for cohort, count_by, by in product(Cohort, CountBy, (Granularity.TOTAL, Granularity.HOUR)):
        query = ReportQuery(organization, view=MetricSet.ALL, by=by, count_by=count_by, cohort=cohort)
        compare_report(service, model, query)
    for media_type, count_by in (("webchat", CountBy.VISITORS), ("contentOffer", CountBy.ACTIONS)):
        one = ReportQuery(organization, view=MetricSet.ALL, count_by=count_by, media_type=media_type)
        compare_report(service, model, one)


def compare_report(service: Offerlog, model: Model, query: ReportQuery) -> None:
    """Counts and names."""
    rows = service.report(query).rows
    expected = model.report(
        cohort=query.cohort.value,
        distinct=query.count_by is CountBy.VISITORS,
        hourly=query.by is Granularity.HOUR,
        media=query.media_type,
    )
    assert {(row.action_map_id, row.bucket): row.metrics for row in rows} == {
        key: {METRICS[state]: counts[state.value] for state in State if state in METRICS}
        for key, counts in expected.items()
    }
    for row in rows:
        names = sorted(model.names[row.action_map_id], key=lambda named: named[0])
        assert row.action_map_name == (names[-1][1] if names else None)
