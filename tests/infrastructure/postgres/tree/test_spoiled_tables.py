"""What somebody spoils in SQL does not make the service wait for ever, nor hide from an audit."""

import time

import psycopg
import pytest

from offerlog_application.evidence.findings import FindingKind
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_source import PositionAheadError
from support.journeys import journeys, signal
from support.recount import rows

_COPY = """
    INSERT INTO offerlog_events (notification_id, originator_id, originator_version, topic, state)
    SELECT %s, originator_id, 77, topic, state FROM offerlog_events ORDER BY notification_id LIMIT 1
"""


def test_nobody_waits_for_a_position_that_the_log_never_gave(offerlog: Offerlog, dsn: str) -> None:
    """It is passed over by all that wait, and found by an audit. One below 1 cannot be inserted at all."""
    # given
    assert offerlog.evidence is not None
    offerlog.wait(offerlog.record(journeys(7)).position)
    rows(dsn, _COPY, 9 * 10**18)
    # when
    began = time.monotonic()
    offerlog.wait(offerlog.record([signal("offered", visitor="another")]).position, timeout=20)
    offerlog.catch_up()
    offerlog.evidence.catch_up(timeout=20)
    # then
    assert time.monotonic() - began < 20
    assert offerlog.evidence.progress().lag_events <= 1
    assert {(one.lag_events, one.lag_seconds) for one in offerlog.projections()} == {(0, 0.0)}
    assert offerlog.operations.figures().position == offerlog.position() < 100
    with pytest.raises(PositionAheadError):
        offerlog.subscriptions.acknowledge("bi", 9 * 10**18)
    read = offerlog.subscriptions.acknowledge("bi", offerlog.position())
    assert (read.lag_events, read.lag_seconds) == (0, 0.0)
    assert len(offerlog.stored_kinds()) > 1
    assert [(one.kind, one.position) for one in offerlog.evidence.verify().findings] == [
        (FindingKind.INSERTED, 9 * 10**18)
    ]
    with pytest.raises(psycopg.errors.CheckViolation):
        rows(dsn, _COPY, 0)


def test_the_events_are_compared_without_the_progress_of_the_tree(offerlog: Offerlog, dsn: str) -> None:
    """Whoever deletes its row does not hide what else was changed."""
    # given
    assert offerlog.evidence is not None
    offerlog.record(journeys(7))
    offerlog.evidence.catch_up()
    size = offerlog.evidence.progress().size
    # when
    rows(dsn, "UPDATE offerlog_events SET originator_version = 99 WHERE notification_id = 2")
    rows(dsn, "DELETE FROM tree_progress")
    report = offerlog.evidence.verify()
    # then
    assert (report.events, report.position) == (size, offerlog.position())
    assert {(one.kind, one.position) for one in report.findings} == {
        (FindingKind.EDITED, 2),
        (FindingKind.TILE, None),
    }
    assert "the table tree_progress is empty" in report.findings[0].detail
