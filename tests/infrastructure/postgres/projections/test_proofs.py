"""The running proof of the projections: right while all is well, and wrong as soon as one event is."""

import random

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.projections.proof import SLICES
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.migrations import migrations
from support.internals import stop_projector
from support.journeys import journeys
from support.recount import rows


def test_the_proof_holds_page_by_page(offerlog: Offerlog, dsn: str) -> None:
    """However the events came in, and at every moment."""
    lines = journeys(210)
    answers = [offerlog.submit(lines[start : start + 7]) for start in range(0, len(lines), 7)]
    for _ in range(5):
        assert all(not one.differences for one in offerlog.verify())
    offerlog.wait(max(answer.result(60).position or 0 for answer in answers))
    ((events, last),) = rows(dsn, "SELECT count(*), max(notification_id) FROM offerlog_events")
    for one in offerlog.verify():
        assert (one.events, one.position, one.differences) == (events, last, ())
    assert offerlog.proof("suppression") == offerlog.verify("suppression")[0]
    assert rows(dsn, "SELECT max(slice) FROM projection_proofs") <= [(SLICES - 1,)]


FAULTS = {
    "one too many folded in": "DELETE FROM offerlog_events WHERE notification_id = 5",
    "one left out": """
        INSERT INTO offerlog_events (notification_id, originator_id, originator_version, topic, state)
        SELECT 0, originator_id, 99, topic, state FROM offerlog_events WHERE notification_id = 5
    """,
    "another one instead": """
        UPDATE projection_proofs SET digest = digest + 1
        WHERE slice = (SELECT min(slice) FROM projection_proofs)
    """,
    "one at another place": "UPDATE offerlog_events SET notification_id = 0 WHERE notification_id = 5",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_one_event_too_few_or_too_many_is_found(offerlog: Offerlog, dsn: str, fault: str) -> None:
    """The difference names the slice and both numbers."""
    offerlog.wait(offerlog.record(journeys(14)).position)
    rows(dsn, "ALTER TABLE offerlog_events DROP CONSTRAINT positions_begin_with_1")
    rows(dsn, fault)
    for one in offerlog.verify():
        assert len(one.differences) == 1
        assert abs(one.differences[0].expected - one.differences[0].events) <= 1


def test_a_projector_that_passes_over_an_event_is_found_out(offerlog: Offerlog, dsn: str) -> None:
    """A position moved on without the events under it."""
    offerlog.wait(offerlog.record(journeys(14)).position)
    stop_projector(offerlog)
    position = offerlog.record([random.choice(journeys(700)) for _ in range(20)]).position  # noqa: S311 - a test
    rows(dsn, "UPDATE offerlog_tracking SET notification_id = %s", position)
    assert all(one.differences for one in offerlog.verify())


def test_there_is_no_proof_of_another_view(offerlog: Offerlog) -> None:
    """A wrong name is an error."""
    for ask in (offerlog.proof, offerlog.verify):
        with pytest.raises(KeyError, match="nonsense"):
            ask("nonsense")


def test_a_log_from_before_there_were_proofs_gets_them(dsn: str) -> None:
    """The migration works them out for what the projections had folded in by then."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.wait(offerlog.record(journeys(35)).position)
    rows(dsn, "DROP TABLE projection_proofs, dead_letters")
    statements = migrations()[4]
    rows(dsn, statements[: statements.index("-- Which maps")])
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.wait(offerlog.record(journeys(70)).position)
        assert all(not one.differences and one.events for one in offerlog.verify())
