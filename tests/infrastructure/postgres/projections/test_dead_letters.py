"""An event that cannot be applied stops its own visitor-offer, and nothing else."""

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.read_models import ProjectionsBehindError
from offerlog_application.projections.page import Page
from offerlog_domain.lifecycle import State
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.projections import projector
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from support.journeys import journeys
from support.recount import recounted, rows, shown, streams_of

MAP = str(uuid.uuid4())
SPOIL = "UPDATE offerlog_events SET topic = 'vanished.7' WHERE topic = 'accepted.3' AND originator_id = %s"
MEND = "UPDATE offerlog_events SET topic = 'accepted.3' WHERE topic = 'vanished.7'"


def signal_of(state: str, customer: str, action: str) -> bytes:
    """A signal of one action of one visitor."""
    ids = {"actionId": action, "actionMapId": MAP, "sessionId": action}
    return json.dumps({**ids, "actionState": state, "customerId": customer}).encode()


def life(customer: str) -> list[bytes]:
    """Offered, accepted, started, engaged."""
    action = str(uuid.uuid5(uuid.NAMESPACE_OID, customer))
    return [signal_of(state, customer, action) for state in ("offered", "accepted", "started", "engaged")]


def metrics(offerlog: Offerlog) -> dict[str, int]:
    """What the report counts of the map, without zeros."""
    (row,) = offerlog.report(ReportQuery(offerlog.organization, action_maps=(MAP,))).rows
    return {name.removeprefix("nWebActions"): count for name, count in row.metrics.items() if count}


@pytest.fixture
def spoiled(dsn: str) -> Any:
    """A log in which one visitor's second event, of four, cannot be read; the projections see it only now."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        service.record([*life("broken"), *life("whole"), *journeys(21)])
    (stream,) = streams_of(dsn, "broken")
    rows(dsn, SPOIL, stream)
    return stream


def test_only_its_own_visitor_offer_waits(dsn: str, spoiled: uuid.UUID) -> None:
    """The events before it are shown, those behind it wait, everybody else's are counted."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.catch_up()
        assert metrics(offerlog) == {"Offered": 2, "Accepted": 1, "Started": 1, "Engaged": 1}
        letters = offerlog.dead_letters()
        assert [(one.projection, one.stream, one.version, one.waiting) for one in letters] == [
            (view.name, spoiled, 2, 3) for view in sorted(PROJECTIONS, key=lambda view: view.name)
        ]
        assert all("vanished.7" in one.error and one.topic == "vanished.7" for one in letters)


@pytest.mark.usefixtures("spoiled")
def test_reports_say_by_how_many_events_they_are_short(dsn: str) -> None:
    """Those that it touches, and no others."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.catch_up()
        organization = offerlog.organization
        assert offerlog.report(ReportQuery(organization)).short_by == 3
        assert offerlog.report(ReportQuery(organization, action_maps=(MAP,))).short_by == 3
        assert offerlog.report(ReportQuery(organization, action_maps=(str(uuid.uuid4()),))).short_by == 0
        assert offerlog.report(ReportQuery("elsewhere")).short_by == 0
        assert all(not one.differences and one.short_by == 3 for one in offerlog.verify())


def test_more_events_of_the_same_visitor_offer_queue_behind_it(dsn: str, spoiled: uuid.UUID) -> None:
    """Whoever comes later waits too, also after a restart."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.catch_up()
    rows(
        dsn,
        "INSERT INTO offerlog_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, 5, topic, state FROM offerlog_events"
        " WHERE originator_id = %s AND originator_version = 4",
        spoiled,
    )
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.catch_up()
        assert {one.waiting for one in offerlog.dead_letters()} == {4}
        check_counts(offerlog)
        assert all(not one.differences for one in offerlog.verify())


def check_counts(offerlog: Offerlog) -> None:
    """Compare the numbers that metrics and look-ups show with the dead letters themselves."""
    letters = offerlog.dead_letters()
    waiting = {
        one.name: sum(letter.waiting for letter in letters if letter.projection == one.name)
        for one in offerlog.projections()
    }
    assert {one.name: one.short_by for one in offerlog.projections()} == waiting
    assert offerlog.operations.figures().dead_letters == len(letters)
    assert offerlog.freshness().short_by == waiting["suppression"]


@pytest.mark.usefixtures("spoiled")
def test_after_the_fix_the_views_are_what_they_would_have_been(dsn: str) -> None:
    """Taken in again in order; a retry before the fix changes nothing."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.catch_up()
        assert offerlog.retry_dead_letters() == 0
        assert [one.waiting for one in offerlog.dead_letters()] == [3, 3, 3]
        check_counts(offerlog)
        rows(dsn, MEND)
        offerlog.wait(offerlog.record(life("later")).position)
        assert offerlog.retry_dead_letters() == 3
        assert offerlog.dead_letters() == []
        check_counts(offerlog)
        assert shown(offerlog, dsn) == recounted(dsn)
        assert all(not one.differences and not one.short_by for one in offerlog.verify())
        offerlog.rebuild(swap=False)  # raises if any row differs


def test_what_a_projection_chokes_on_is_found_among_many(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in one view's own code: that view goes on without that visitor, the other views with."""
    performance = next(view for view in PROJECTIONS if view.name == "performance")

    def choking(page: Page) -> Any:
        if any(
            one.originator_id in broken and getattr(one.event, "state", None) is State.STARTED
            for _, one in page.events
        ):
            raise ZeroDivisionError("on purpose")
        return performance.change(page)

    faulty = tuple(
        replace(view, change=choking) if view.name == "performance" else view for view in PROJECTIONS
    )
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        position = service.record([*life("broken"), *life("whole"), *journeys(70)[:9]]).position
    broken = streams_of(dsn, "broken")
    monkeypatch.setattr(projector.PostgresProjector.__init__, "__defaults__", (faulty,))
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.wait(position)
        (letter,) = offerlog.dead_letters()
        assert (letter.projection, letter.version, letter.waiting) == ("performance", 3, 2)
        assert letter.error == "ZeroDivisionError: on purpose"
        assert metrics(offerlog) == {"Offered": 2, "Accepted": 2, "Started": 1, "Engaged": 1}
        assert len(offerlog.suppressions("broken")) == 1
        assert offerlog.retry_dead_letters() == 1  # the retry runs the views as they are shipped
        assert metrics(offerlog)["Started"] == 2
        offerlog.rebuild(swap=False)


def test_a_fault_early_in_a_very_long_stream_is_found_too(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events of the visitor-offer a page holds behind it."""
    performance = next(view for view in PROJECTIONS if view.name == "performance")

    def choking(page: Page) -> Any:
        if any(one.originator_version == 3 for _, one in page.events):
            raise ZeroDivisionError("on purpose")
        return performance.change(page)

    faulty = tuple(
        replace(view, change=choking) if view.name == "performance" else view for view in PROJECTIONS
    )
    monkeypatch.setattr(projector.PostgresProjector.__init__, "__defaults__", (faulty,))
    actions = [str(uuid.uuid4()) for _ in range(700)]
    lines = [signal_of(state, "again", action) for action in actions for state in ("offered", "errored")]
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as offerlog:
        position = offerlog.record(lines).position
    with open_offerlog(database_url=dsn, keep_deadlines=False) as offerlog:
        offerlog.wait(position, timeout=15)
        (letter,) = offerlog.dead_letters()
        assert (letter.projection, letter.version, letter.waiting) == ("performance", 3, len(lines) - 2)
        assert metrics(offerlog) == {"Offered": 1}
        assert offerlog.retry_dead_letters() == 1
        offerlog.rebuild(swap=False)


def test_trouble_of_the_store_buries_nobody(offerlog: Offerlog, dsn: str) -> None:
    """Where nothing at all can be written, the projector waits and tries again."""
    offerlog.wait(offerlog.record(life("before")).position)
    rows(dsn, "ALTER TABLE suppressions RENAME TO hidden")
    position = offerlog.record([line for n in range(20) for line in life(f"visitor {n}")]).position
    with pytest.raises(ProjectionsBehindError, match="suppressions"):
        offerlog.wait(position, timeout=1.5)
    rows(dsn, "ALTER TABLE hidden RENAME TO suppressions")
    offerlog.wait(position)
    assert offerlog.dead_letters() == []
    assert shown(offerlog, dsn) == recounted(dsn)
